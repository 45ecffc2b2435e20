"""The RL stage with candidates named: rows, counts, what is asked openly, and the same bytes in any order."""

import json
from pathlib import Path

import pytest

from data_builders import rl
from data_builders.rl import RlConfig
from skinr1.cases import Role
from skinr1.errors import UserError
from skinr1.report import Answer, parse, render
from skinr1.rewards import Context, reward_functions
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from tests.skinr1.grounded import KERATOSIS, MELANOMA, NEVUS, PSORIASIS, TINEA, TREE, case, tree
from tests.skinr1.sample_report import REPORT

LABELS = (KERATOSIS, MELANOMA, PSORIASIS, TINEA)
CASES = [
    *(case(LABELS[n % 4], role=Role.SPARSE, case_id=f"train-{n}", age=30 + n) for n in range(12)),
    *(case(NEVUS, role=Role.SPARSE, case_id=f"nevus-{n}") for n in range(9)),
    *(case(LABELS[n], role=Role.SPARSE, case_id=f"validation-{n}", split="validation") for n in range(3)),
    case(role=Role.SPARSE, case_id="unlabelled"),
]


def build(run: Path, cases=CASES, output: str = "out", **more) -> dict[str, int]:
    folder = run / "cases"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "a.png").write_bytes(b"picture")
    write_jsonl(folder / "cases.jsonl", [one.model_dump(mode="json") for one in cases])
    write_manifest(folder, "cases", config={})
    (run / "tree.yaml").write_text(TREE, encoding="utf-8")
    places = {"cases": str(folder), "taxonomy": str(run / "tree.yaml"), "output": str(run / output)}
    return rl.build(RlConfig(**places, **more), progress=False)


def rows(run: Path, name: str, output: str = "out") -> list[dict]:
    return list(read_jsonl(run / output / f"{name}.jsonl"))


def text(row: dict) -> str:
    return row["prompt"][1]["content"][-1]["text"]


def test_choices_are_named_in_the_prompt_and_kept_as_nodes(tmp_path: Path) -> None:
    counts = build(tmp_path, questions="choice")
    made = rows(tmp_path, "train")
    assert len(made) == 21 and counts["rejected"] == 1
    chosen = [row for row in made if row["options"]]
    for row in chosen:
        names = [tree().node(node).name for (node,) in row["options"]]
        assert f"One of these is the diagnosis: {'; '.join(names)}. Write the report" in text(row)
        assert row["diagnoses"] in row["options"] and len(names) == 4
    assert all("One of these" not in text(row) for row in made if not row["options"])
    assert text(chosen[0]).startswith("Patient: age 3")
    # 12 others, three in a block, and 9 nevi: four blocks, and five nevi are too many
    assert counts["choice:train"] == len(chosen) == 16 and counts["open:train"] == 5
    assert (counts["choice:validation"], counts["open:validation"]) == (0, 3)
    assert counts["choice:train:right by most frequent label"] == counts["choice:train:right by longest name"] == 4
    assert read_manifest(tmp_path / "out")["config"] == {"questions": "choice", "options": 4, "seed": 0}


def test_open_questions_are_the_default_and_other_columns_stay(tmp_path: Path) -> None:
    build(tmp_path)
    build(tmp_path, output="chosen", questions="choice")
    opened = {row["case_id"]: row for row in rows(tmp_path, "train")}
    for row in rows(tmp_path, "train", "chosen"):
        same = {name for name in row if row[name] == opened[row["case_id"]].get(name)}
        assert set(row) - same == ({"prompt", "options"} if row["options"] else {"options"})
        assert "options" not in opened[row["case_id"]]


def test_an_answer_is_a_report_that_the_rewards_read(tmp_path: Path) -> None:
    build(tmp_path, questions="choice")
    row = next(row for row in rows(tmp_path, "train") if row["diagnoses"] == [MELANOMA] and row["options"])
    report = REPORT.model_dump(mode="json") | {"diagnosis": MELANOMA, "condition": "malignant"}
    report["differential"] = [{**report["differential"][0], "diagnosis": MELANOMA}]
    right = render(Answer("Seen: plaque.", type(REPORT).model_validate_json(json.dumps(report))))
    assert parse(right, tree()).report.diagnosis == MELANOMA
    functions, _ = reward_functions("safe", Context(tree()))
    columns = {name: [row[name]] * 2 for name in ("diagnoses", "condition", "options")}
    scores = [function(completions=[right, "melanoma"], **columns) for function in functions]
    assert sum(one for one, _ in scores) > sum(other for _, other in scores)


def test_same_bytes_whatever_the_order_of_the_cases(tmp_path: Path) -> None:
    build(tmp_path, questions="choice")
    build(tmp_path, cases=CASES[::-1], output="turned", questions="choice")
    assert sorted(map(str, rows(tmp_path, "train"))) == sorted(map(str, rows(tmp_path, "train", "turned")))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"questions": "quiz"}, "unknown kind of question"),
        ({"questions": "choice", "options": 1}, "fewer than two"),
        ({"questions": "choice", "options": 6}, "no 6 labels that exclude one another"),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, changes: dict, what: str) -> None:
    with pytest.raises(UserError, match=what):
        build(tmp_path, **changes)
