"""eval/import_predictions.py: a third party's table is scored like ours; nothing in it is dropped."""

import csv
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.external import Reader, answer_text
from skinr1.metrics import read_outcomes
from skinr1.report import inconsistencies, parse
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy

NEVUS = "neoplasm/benign/melanocytic/common_nevus"
TREE = Taxonomy.load()


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    rows = [
        Case(
            case_id=f"c{n}", source="s", images=("a.png",), role=Role.SPARSE, diagnoses=(NEVUS,), licence="CC0",
            split="test", patient_id=f"p{n}",
        )
        for n in range(6)
    ]  # fmt: skip
    write_jsonl(tmp_path / "cases" / "cases.jsonl", [case.model_dump(mode="json") for case in rows])
    return tmp_path / "cases"


def run(scripts: dict[str, ModuleType], cases: Path, table: Path, *more: str) -> Path:
    output = cases.parent / "theirs"
    scripts["import_predictions"].main(
        ["--table", str(table), "--cases", str(cases), "--output", str(output), "--model", "theirs", *more]
    )
    return output


def test_a_csv_is_scored_like_our_own_answers(scripts, cases, tmp_path, capsys) -> None:
    table = tmp_path / "theirs.csv"
    with open(table, "w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["case_id", "diagnosis", "probability", "differential", "reader"])
        rows.writerow(["c0", "common nevus", "0.8", "", "A"])
        rows.writerow(["c1", "melanoma", "", "melanoma; common nevus", "A"])
        rows.writerow(["c2", "Klingon pox", "", "", "A"])
        rows.writerow(["c3", "", "", '[["common nevus", 0.6], ["Klingon pox", 0.2], ["melanoma", 0.1]]', "B"])
        rows.writerow(["elsewhere", "melanoma", "", "", "B"])
    output = run(scripts, cases, table)
    found = {o.case_id: o for o in read_outcomes(output, TREE)}
    assert len(found) == 6  # unanswered cases stay in the denominator
    assert found["c0"].predicted == found["c3"].predicted == NEVUS
    assert [o.answer is None for _, o in sorted(found.items())] == [False, False, True, False, True, True]
    assert found["c2"].row.text == "Klingon pox"
    assert found["c3"].answer and len(found["c3"].answer.report.differential) == 1  # ends before the unknown label
    listed = list(read_jsonl(output / "rejected.jsonl"))
    assert [row["case_id"] for row in listed if row["reason"] == "unknown label"] == ["c2", "c3"]
    assert [row["case_id"] for row in listed if row["reason"] == "not answered"] == ["c4", "c5"]
    assert [row["case_id"] for row in listed if row["reason"].startswith("no such case")] == ["elsewhere"]
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["counts"]["cases"] == 6 and manifest["counts"]["answered"] == 4
    assert "columns that were not read: reader" in manifest["notes"]
    assert any(note.startswith("2 answers came without probabilities") for note in manifest["notes"])
    assert "Klingon pox" in capsys.readouterr().out
    scripts["score"].main(["--predictions", str(output), "--output", str(tmp_path / "scores"), "--resamples", "20"])
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["metrics"]["top1"]["value"] == pytest.approx(2 / 6, abs=1e-6)
    assert scores["metrics"]["top1"]["n"] == 6


def test_raw_texts_and_a_label_map_of_json_lines(scripts, cases, tmp_path) -> None:
    (tmp_path / "map.yaml").write_text(f"labels: {{NEV: {{nodes: [{NEVUS}]}}}}")
    own = answer_text([(NEVUS, 0.9)], TREE, "Seen.")
    rows = [{"case_id": "c0", "text": own}, {"case_id": "c1", "text": "no idea"}, {"case_id": "c2", "diagnosis": "NEV"}]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    output = run(scripts, cases, tmp_path / "theirs.jsonl", "--label_map", str(tmp_path / "map.yaml"))
    found = {o.case_id: o for o in read_outcomes(output, TREE)}
    assert found["c0"].row.text == own and found["c1"].row.text == "no idea"
    assert found["c2"].predicted == NEVUS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"case_id": "c0", "diagnosis": "melanoma"}] * 2, "answered twice"),
        ([{"diagnosis": "melanoma"}], "no case_id"),
        ([{"case_id": "c0"}], "neither text nor diagnosis"),
        ([{"case_id": "c0", "diagnosis": "melanoma", "probability": 70}], "not in 0 to 1"),
        ([{"case_id": "c0", "differential": [["melanoma", 0.2], ["common nevus", 0.7]]}], "not falling"),
        ([{"case_id": "nobody", "diagnosis": "melanoma"}], "no row answers"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(scripts, cases, tmp_path, rows, message) -> None:
    write_jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(UserError, match=message):
        run(scripts, cases, tmp_path / "t.jsonl")


@given(weights=st.lists(st.floats(0.001, 1), min_size=1, max_size=9), data=st.data())
def test_every_ranking_becomes_a_consistent_report(weights: list[float], data: Any) -> None:
    nodes = data.draw(st.lists(st.sampled_from(TREE.leaves), min_size=len(weights), max_size=len(weights), unique=True))
    shares = sorted((weight / sum(weights) for weight in weights), reverse=True)
    report = parse(answer_text(list(zip(nodes, shares, strict=True)), TREE, "x"), TREE).report
    assert [entry.diagnosis for entry in report.differential] == nodes[:5]
    faults = inconsistencies(report, TREE)
    assert not [fault for fault in faults if "condition" not in fault]


def test_a_label_of_several_nodes_is_read_as_their_group() -> None:
    two = [NEVUS, "neoplasm/benign/melanocytic/blue_nevus"]
    from skinr1.taxonomy.labels import LabelMap, LabelTarget

    reader = Reader(TREE, LabelMap("m", {"NV": LabelTarget(frozenset(two), 1.0)}, TREE))
    answer = parse(reader.text({"case_id": "c", "diagnosis": "NV"}, "here"), TREE)
    assert answer.report.diagnosis == TREE.lca(*two)
    assert reader.notes[0]["reason"] == "several nodes"
