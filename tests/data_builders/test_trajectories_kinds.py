"""The stage with kinds chosen by name: which case is for which, what is counted, and that the default stays."""

import json
from pathlib import Path

import pytest

from data_builders import trajectories
from data_builders.trajectories import SENTENCES, TrajectoriesConfig
from skinr1 import prompts
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.report import parse
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import KINDS
from skinr1.trajectories.reading import diagnoses_named
from tests.skinr1.grounded import MELANOMA, NEVUS, TREE, case, tree, write_knowledge

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "trajectories-default.jsonl"
SIGNS = ("papule", "brown colour", "sharp border")
DENSE = [
    case(NEVUS, present=SIGNS, absent=("warty surface",), case_id="dense-1", age=40),
    case(NEVUS, present=("macule", "brown colour"), case_id="dense-2", images=("images/a.png", "images/b.png")),
    case(MELANOMA, present=("plaque", "irregular border"), case_id="dense-3", split="validation"),
]
OTHERS = [
    case(NEVUS, present=("papule", "ungradable image"), case_id="dense-blurred"),
    case(present=SIGNS, role=Role.CAPTION, case_id="caption-1"),
    case(NEVUS, present=("non-skin image",), role=Role.SPARSE, case_id="sparse-cat"),
    case(NEVUS, present=SIGNS, role=Role.SPARSE, case_id="sparse-1"),
    case(NEVUS, present=("non-skin image",), role=Role.SPARSE, case_id="sparse-test", split="test"),
]


def build(tmp_path: Path, cases: list[Case], **more: object) -> dict[str, int]:
    folder = tmp_path / "cases"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png"):
        (folder / "images" / name).write_bytes(b"picture")
    write_jsonl(folder / "cases.jsonl", [c.model_dump(mode="json") for c in cases])
    write_manifest(folder, "cases", config={})
    write_knowledge(tmp_path / "knowledge")
    (tmp_path / "tree.yaml").write_text(TREE, encoding="utf-8")
    places = {
        "cases": str(folder),
        "knowledge": str(tmp_path / "knowledge"),
        "taxonomy": str(tmp_path / "tree.yaml"),
        "output": str(tmp_path / "deep" / "out"),
    }
    return trajectories.build(TrajectoriesConfig(**{**places, **more}), progress=False)


def rows(tmp_path: Path, name: str) -> list[dict]:
    return list(read_jsonl(tmp_path / "deep" / "out" / name))


def test_the_default_kinds_give_the_bytes_they_always_gave(tmp_path: Path) -> None:
    """The snapshot was written by the code before the other kinds: the embedded demo trains on such rows."""
    build(tmp_path, DENSE)
    assert (tmp_path / "deep" / "out" / "train.jsonl").read_bytes() == SNAPSHOT.read_bytes()


def test_all_kinds_from_the_cases_they_are_for(tmp_path: Path) -> None:
    build(tmp_path, [*DENSE, *OTHERS], kinds=list(KINDS))
    made = {(row["case_id"], row["kind"]) for row in rows(tmp_path, "train.jsonl")}
    assert {kind for case_id, kind in made if case_id == "dense-1"} == set(KINDS) - {"checklist", "refusal"}
    assert {pair for pair in made if not pair[0].startswith("dense-1") and pair[0] != "dense-2"} == {
        ("dense-blurred", "refusal"),
        ("caption-1", "description"),
        ("sparse-cat", "refusal"),
    }


def test_refusals_and_descriptions_name_no_disease_and_are_asked_for_in_their_own_words(tmp_path: Path) -> None:
    build(tmp_path, [*DENSE, *OTHERS], kinds=["description", "refusal"])
    for row in rows(tmp_path, "train.jsonl"):
        answer = parse(row["completion"][0]["content"][0]["text"], tree())
        question = row["prompt"][1]["content"][-1]["text"]
        asked = prompts.DESCRIPTION_QUESTION if row["kind"] == "description" else prompts.REPORT_QUESTION
        assert answer.report.diagnosis is None and question.endswith(asked)
        assert not any(diagnoses_named(json.dumps(row[part]), Taxonomy.load()) for part in ("prompt", "completion"))


def test_every_sentence_is_listed_with_its_type_and_counted(tmp_path: Path) -> None:
    counts = build(tmp_path, [*DENSE, *OTHERS], kinds=list(KINDS))
    made = rows(tmp_path, "train.jsonl") + rows(tmp_path, "validation.jsonl")
    listed = sorted(rows(tmp_path, SENTENCES), key=lambda r: r["split"])  # written in the order of the cases
    assert [(r["case_id"], r["kind"]) for r in listed] == [(r["case_id"], r["kind"]) for r in made]
    for row, of in zip(listed, made, strict=True):
        thinking = parse(of["completion"][0]["content"][0]["text"], tree()).thinking
        steps = json.loads(of["provenance"])
        assert [thinking[s["start"] : s["end"]] for s in row["sentences"]] == [step["text"] for step in steps]
        for sentence, step in zip(row["sentences"], steps, strict=True):
            assert (sentence["type"] == "observation") == (step["kind"] == "finding")
            assert all(f"[{passage}]" in step["text"] for passage in sentence["passages"])
    types = [sentence["type"] for row in listed for sentence in row["sentences"]]
    for name in ("observation", "knowledge", "inference"):
        assert counts[f"sentences:{name}"] == types.count(name) > 0
    assert counts["checked"] == counts["grounded"] == len(made)
    assert read_manifest(tmp_path / "deep" / "out")["counts"] == counts


def test_an_unsupported_trajectory_is_rejected_with_its_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skinr1.trajectories.steps.DECLINED", "No diagnosis: the cat is lovely.")
    counts = build(tmp_path, [*DENSE, *OTHERS], kinds=["direct", "refusal"])
    assert counts["checked"] - counts["grounded"] == counts["sentences:unsupported"] == 2
    assert counts["unsupported:word that no vocabulary holds"] == 4
    (row, _) = (row for row in rows(tmp_path, "rejected.jsonl") if row["reason"].startswith("not grounded"))
    assert (row["sentences"][0]["sentence"], row["sentences"][0]["why"]) == (
        "No diagnosis: the cat is lovely.",
        "word that no vocabulary holds: cat",
    )


def test_cases_for_evaluation_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="evaluation only"):
        build(tmp_path, [DENSE[0].model_copy(update={"evaluation_only": True})])
