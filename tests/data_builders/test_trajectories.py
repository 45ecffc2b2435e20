"""Builders of training files: what they write, what they reject, and that equal inputs give equal bytes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_builders import captions, rl, trajectories
from data_builders.captions import CaptionsConfig
from data_builders.rl import RlConfig
from data_builders.trajectories import TrajectoriesConfig
from skinr1 import prompts
from skinr1.cases import Case, Role
from skinr1.concepts import concept, concepts
from skinr1.errors import UserError
from skinr1.report import parse
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from tests.folders import digests
from tests.skinr1.grounded import MELANOMA, NEVUS, SHOWN, TREE, case, tree, write_knowledge

SIGNS = ("papule", "brown colour", "sharp border")
CASES = [
    case(NEVUS, present=SIGNS, absent=("warty surface",), case_id="dense-1", age=40),
    case(NEVUS, present=("macule", "brown colour"), case_id="dense-2", images=("images/a.png", "images/b.png")),
    case(MELANOMA, present=("plaque", "irregular border"), case_id="dense-3", split="validation"),
    case(NEVUS, present=SIGNS, case_id="dense-test", split="test"),
    case(NEVUS, present=SIGNS, case_id="dense-lost", images=("images/lost.png",)),
    case(NEVUS, present=("silvery scale",), case_id="dense-odd"),
    case(present=("sharp border", "papule"), role=Role.CAPTION, case_id="caption-1"),
    case(present=("itch",), role=Role.CAPTION, case_id="caption-2"),
    case(NEVUS, role=Role.SPARSE, case_id="sparse-1"),
    case(NEVUS, MELANOMA, role=Role.SPARSE, case_id="sparse-2", split="validation"),
    case(NEVUS, role=Role.SPARSE, case_id="sparse-3", split="test"),
    case(role=Role.SPARSE, case_id="sparse-4"),
]


def write_cases(folder: Path, cases: list[Case]) -> None:
    (folder / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (folder / "images" / name).write_bytes(b"picture")
    write_jsonl(folder / "cases.jsonl", [c.model_dump(mode="json") for c in cases])
    write_manifest(folder, "cases", config={}, notes=["rendered, not clinical"])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_cases(tmp_path / "cases", CASES)
    write_knowledge(tmp_path / "knowledge")
    (tmp_path / "tree.yaml").write_text(TREE, encoding="utf-8")
    return tmp_path


def config(kind: type, run: Path, **more: object):
    places = {"cases": str(run / "cases"), "taxonomy": str(run / "tree.yaml"), "output": str(run / "deep" / "out")}
    if kind is not RlConfig:
        places["knowledge"] = str(run / "knowledge")
    return kind(**{**places, **more})


def rows(run: Path, name: str) -> list[dict]:
    return list(read_jsonl(run / "deep" / "out" / f"{name}.jsonl"))


def test_trajectories_are_conversations_with_provenance(run: Path) -> None:
    counts = trajectories.build(config(TrajectoriesConfig, run), progress=False)
    first = rows(run, "train")[0]
    assert (first["case_id"], first["kind"]) == ("dense-1", "direct")
    assert first["prompt"] == prompts.messages("Patient: age 40. Write the report for this case.", 1)
    assert first["images"] == ["../../cases/images/a.png"]
    answer = parse(first["completion"][0]["content"][0]["text"], tree())
    steps = json.loads(first["provenance"])
    assert answer.thinking == " ".join(step["text"] for step in steps)
    assert [step["saw_answer"] for step in steps] == [False, True, True]
    assert [step["source"] for step in steps] == ["annotation", "primer:common-nevus#morphology", "label"]
    assert counts["rows:train"] == len(rows(run, "train"))
    two = next(row for row in rows(run, "train") if row["case_id"] == "dense-2")
    assert len(two["images"]) == sum(part["type"] == "image" for part in two["prompt"][1]["content"]) == 2


def test_only_dense_cases_of_train_and_validation(run: Path) -> None:
    trajectories.build(config(TrajectoriesConfig, run), progress=False)
    assert {row["case_id"] for row in rows(run, "train")} == {"dense-1", "dense-2"}
    assert {row["case_id"] for row in rows(run, "validation")} == {"dense-3"}


def test_rejections_are_written_and_counted(run: Path) -> None:
    trajectories.build(config(TrajectoriesConfig, run), progress=False)
    reasons = {(row["case_id"], row.get("kind")): row["reason"] for row in rows(run, "rejected")}
    assert reasons["dense-lost", None] == "image does not exist: images/lost.png"
    assert "no textbook rule" in reasons["dense-odd", "direct"]
    manifest = read_manifest(run / "deep" / "out")
    assert manifest["counts"]["rejected"] == len(rows(run, "rejected"))
    assert manifest["counts"]["rejected:image does not exist"] == 1
    assert manifest["notes"] == ["rendered, not clinical"]
    assert [entry["name"] for entry in manifest["inputs"]][0] == "cases.jsonl"


def test_kinds_and_number_per_case_are_configurable(run: Path) -> None:
    trajectories.build(config(TrajectoriesConfig, run, kinds=["direct"]), progress=False)
    assert {row["kind"] for row in rows(run, "train")} == {"direct"}
    trajectories.build(config(TrajectoriesConfig, run, per_case=1), progress=False)
    assert [row["case_id"] for row in rows(run, "train")] == ["dense-1", "dense-2"]


def test_ungrounded_trajectories_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skinr1.trajectories.making.check", lambda t, *_: ["made up"] if t.case_id == "dense-2" else [])
    trajectories.build(config(TrajectoriesConfig, run), progress=False)
    assert {row["case_id"] for row in rows(run, "train")} == {"dense-1"}
    assert any(row["reason"] == "not grounded: made up" for row in rows(run, "rejected"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kinds": ["guess"]}, "unknown kind"),
        ({"per_case": 0}, "per_case"),
        ({"taxonomy": "nowhere.yaml"}, "taxonomy file not found"),
        ({"cases": "nowhere"}, "file not found"),
    ],
)
def test_bad_configuration_is_one_line(run: Path, changes: dict, what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        trajectories.build(config(TrajectoriesConfig, run, **changes), progress=False)
    assert "\n" not in str(caught.value)


def test_nothing_to_train_on_says_where_the_reasons_are(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases", [c for c in CASES if c.case_id in ("dense-odd", "dense-3")])
    write_knowledge(tmp_path / "knowledge")
    (tmp_path / "tree.yaml").write_text(TREE, encoding="utf-8")
    with pytest.raises(UserError, match="no row to train on"):
        trajectories.build(config(TrajectoriesConfig, tmp_path), progress=False)
    assert rows(tmp_path, "rejected")


def test_captions_name_signs_in_vocabulary_order(run: Path) -> None:
    counts = captions.build(config(CaptionsConfig, run, text_repeats=2), progress=False)
    image = [row for row in rows(run, "train") if row["images"]]
    assert [row["completion"][0]["content"][0]["text"] for row in image] == ["Visible: papule, sharp border."]
    assert image[0]["prompt"] == prompts.messages(prompts.CAPTION_QUESTION, 1, system=None)
    assert rows(run, "rejected") == [{"case_id": "caption-2", "reason": "no visible sign is annotated"}]
    assert counts["text"] == 2 * (len(SHOWN) + len(list(read_jsonl(run / "knowledge" / "passages.jsonl"))))


def test_text_rows_teach_paths_and_passages_without_images(run: Path) -> None:
    captions.build(config(CaptionsConfig, run), progress=False)
    said = {
        row["prompt"][0]["content"][0]["text"]: row["completion"][0]["content"][0]["text"]
        for row in rows(run, "train")
        if not row["images"]
    }
    assert said["Path of common nevus."] == NEVUS
    assert said["Recite primer:common-nevus#morphology."].startswith("It shows papule")


def test_no_caption_can_name_a_diagnosis() -> None:
    visible = [name for name in concepts() if concept(name).group != "history"]
    text = captions.caption(case(MELANOMA, present=tuple(visible), role=Role.CAPTION), Taxonomy.load()).lower()
    for node in Taxonomy.load().nodes.values():
        assert not re.search(rf"\b{re.escape(node.name.lower())}\b", text), node.id
    named = Taxonomy.from_yaml("version: t\ntree: {sharp: {bucket: benign}}")
    with pytest.raises(captions.Leak, match="names a diagnosis"):
        captions.caption(CASES[0], named)


def test_rl_rows_carry_the_label_as_columns(run: Path) -> None:
    rl.build(config(RlConfig, run), progress=False)
    (train,) = rows(run, "train")
    truth = {"case_id", "diagnoses", "condition", "differential", "findings", "absent"}
    assert set(train) == {"prompt", "images", "skin_tone", "source"} | truth
    assert (train["differential"], train["findings"], train["absent"]) == ([], [], [])
    assert (train["diagnoses"], train["condition"]) == ([NEVUS], "benign")
    (validation,) = rows(run, "validation")
    assert (validation["diagnoses"], validation["condition"]) == (sorted([NEVUS, MELANOMA]), None)
    assert rows(run, "rejected") == [{"case_id": "sparse-4", "reason": "case has no diagnosis"}]
    assert "melanoma" not in json.dumps(train["prompt"])


def test_descriptions_are_asked_of_annotated_cases_with_their_signs(run: Path) -> None:
    rl.build(RlConfig(**{**vars(config(RlConfig, run)), "questions": "description"}), progress=False)
    found = rows(run, "train")
    assert found and all(row["findings"] for row in found)
    assert all("Name no disease" in row["prompt"][-1]["content"][-1]["text"] for row in found)


BUILD = """
import sys
from pathlib import Path
from data_builders import captions, rl, trajectories
run = Path(sys.argv[1]); out = sys.argv[2]
common = ["--cases", str(run / "cases"), "--taxonomy", str(run / "tree.yaml")]
known = ["--knowledge", str(run / "knowledge")]
trajectories.main([*common, *known, "--per_case", "2", "--phrasings", "3", "--output", str(run / out / "trajectories")])
captions.main([*common, *known, "--output", str(run / out / "captions")])
rl.main([*common, "--output", str(run / out / "rl")])
"""


def test_same_bytes_under_every_hash_seed(run: Path) -> None:
    contents = []
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", BUILD, str(run), f"out-{seed}"], check=True, env=environment)
        contents.append(digests(run / f"out-{seed}"))
    assert len(contents[0]) == 12 and contents[0] == contents[1]
