"""eval/export_benchmark.py: what other harnesses read, and that nothing is lost on the way."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from PIL import Image

from skinr1.cases import Case, Role, SkinTone
from skinr1.errors import UserError
from skinr1.external import answer_text
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy

TREE = Taxonomy.load()
NODES = tuple(sorted(node for node in TREE.leaves if node.startswith("neoplasm/"))[:4])


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Two cases a class in test, one in train; the first class four more, which no block can take."""
    folder, rows = tmp_path / "cases", []
    (folder / "images").mkdir(parents=True)
    for number in range(16):
        Image.new("RGB", (40, 40), (9 * number, 90, 90)).save(folder / "images" / f"{number}.png")
        case = Case(
            case_id=f"c{number:02}",
            source="s",
            images=(f"images/{number}.png",),
            role=Role.SPARSE,
            diagnoses=() if number == 15 else (NODES[0 if number >= 12 else number % 4],),
            licence="LicenseRef-DermNet" if number == 3 else "CC0-1.0",
            split="train" if 8 <= number < 12 else "test",
            patient_id=f"p{number}",
            skin_tone=SkinTone(scale="fitzpatrick", value=5, provenance="clinician"),
        )
        rows.append(case.model_dump(mode="json"))
    write_jsonl(folder / "cases.jsonl", rows)
    return folder


def export(scripts, cases: Path, form: str) -> Path:
    output = cases.parent / form
    scripts["export_benchmark"].main(["--cases", str(cases), "--output", str(output), "--format", form])
    return output


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_panderm_csv(scripts, cases, capsys) -> None:
    output = export(scripts, cases, "panderm")
    rows, classes = table(output / "labels.csv"), {row["label"]: row["name"] for row in table(output / "classes.csv")}
    assert len(rows) == 15 and {row["split"] for row in rows} == {"train", "test"}
    assert classes[rows[0]["label"]] == TREE.node(NODES[0]).name
    assert all((output / row["image"]).is_file() for row in rows)
    for row in rows:
        bucket = TREE.bucket(NODES[0 if int(row["case_id"][1:]) >= 12 else int(row["case_id"][1:]) % 4])
        assert row["binary_label"] == str(int(bucket == "malignant"))
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["counts"]["without a label"] == 1
    assert "may not be passed on: LicenseRef-DermNet" in capsys.readouterr().out


def test_choices_are_balanced_and_the_surplus_is_asked_openly(scripts, cases) -> None:
    output = export(scripts, cases, "dermobench")
    asked, openly = table(output / "choices.csv"), table(output / "open.csv")
    assert len(asked) + len(openly) == 11 and len(openly) == 3
    for row in asked:
        options = [row[f"option_{letter}"] for letter in "ABCD"]
        assert len(set(options)) == 4 and row[f"option_{row['answer']}"] == row["label"]
        assert row["skin_tone"] == "fitzpatrick 5"
    by_label = [row["label"] for row in asked]
    assert {by_label.count(label) for label in by_label} == {2}  # no name is right more often than another


def test_an_lmms_eval_task_loads_and_scores_as_we_do(scripts, cases, monkeypatch) -> None:
    output = export(scripts, cases, "lmms_eval")

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    task = yaml.load((output / "skinr1_report.yaml").read_text(), Loader=Loader)
    monkeypatch.chdir(output)
    rows = load_dataset(task["dataset_path"], **task["dataset_kwargs"], cache_dir=str(output / "cache"))["test"]
    assert len(rows) == 11
    spec = importlib.util.spec_from_file_location("lmms_utils", output / "utils.py")
    assert spec and spec.loader
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    for name in ("doc_to_visual", "doc_to_text", "process_results"):
        assert task[name] == f"utils.{name}" and hasattr(utils, name)
    doc = rows[0]
    assert utils.doc_to_visual(doc)[0].size == (40, 40) and "Write the report" in utils.doc_to_text(doc)
    right = utils.process_results(doc, [answer_text([(NODES[0], 0.9)], TREE, "Seen.")])
    assert right == {"valid_report": 1.0, "top1": 1.0, "hierarchical_f_by_case": 1.0}
    assert set(utils.process_results(doc, ["a mole"]).values()) == {0.0}
    assert {entry["metric"] for entry in task["metric_list"]} == set(right)
    assert [row["case_id"] for row in read_jsonl(output / "test.jsonl")] == sorted(row["case_id"] for row in rows)
    sys.modules.pop("lmms_utils", None)


def test_a_foreign_folder_and_a_lost_picture_are_refused(scripts, cases) -> None:
    export(scripts, cases, "panderm")
    with pytest.raises(UserError, match="unknown format"):
        export(scripts, cases, "vlmeval")
    (cases / "images" / "0.png").unlink()
    with pytest.raises(UserError, match="image does not exist"):
        export(scripts, cases, "dermobench")
