"""eval/compare.py over runs of one task: its metrics side by side, tested pair by pair, and no others."""

import json
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.page.content import cell, metric_name
from skinr1.page.markdown import plain
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy
from tests.eval.conftest import TREE
from tests.eval.task_runs import CHOICE, RANKED, write_task_run
from tests.folders import digests

SKILLS = {"weak": 0.1, "middle": 0.5, "strong": 0.95}


@pytest.fixture
def tree(tmp_path: Path) -> Taxonomy:
    (tmp_path / "taxonomy.yaml").write_text(TREE)
    return Taxonomy.load(tmp_path / "taxonomy.yaml")


def compare(folder: Path, scripts, *more: str):
    given = [str(folder / name) for name in SKILLS]
    fast = ["--resamples=100", "--permutations=1000", f"--taxonomy={folder}/taxonomy.yaml", f"--output={folder}/out"]
    scripts["compare"].main(["--predictions", *given, *fast, *more])
    return json.loads((folder / "out" / "compare.json").read_text())


@pytest.mark.parametrize(
    ("task", "tested"),
    [
        (CHOICE, ["valid_report_rate", "choice_accuracy", "condition_balanced_accuracy"]),
        (RANKED, ["valid_report_rate", "top1", "top3", "hierarchical_f", "malignancy_auroc"]),
    ],
    ids=lambda one: one["name"] if isinstance(one, dict) else "",
)
def test_the_metrics_of_a_task_are_tested_and_no_other(tmp_path, scripts, tree, task, tested) -> None:
    for name, skill in SKILLS.items():
        write_task_run(tmp_path / name, task, skill, tree)
    found = compare(tmp_path, scripts)
    assert found["task"]["tested"] == tested and found["tests"] == 3 * len(tested) == len(found["pairs"])
    assert [pair["metric"] for pair in found["pairs"][: len(tested)]] == tested
    for pair in found["pairs"]:
        first, second = (found["runs"][pair[side]][pair["metric"]]["value"] for side in ("first", "second"))
        assert pair["difference"]["value"] == pytest.approx(first - second, abs=2e-6)
        assert pair["p"] <= pair["p_holm"] <= 1
    (shown,) = (p for p in found["pairs"] if (p["first"], p["second"], p["metric"]) == ("weak", "strong", tested[1]))
    assert shown["differs"] and shown["difference"]["high"] < 0
    html, text = (tmp_path / "out" / "index.html").read_text(), (tmp_path / "out" / "index.md").read_text()
    values = " | ".join(plain(cell(own[tested[1]])) for own in found["runs"].values())
    assert f"| {metric_name(tested[1])} | 40 | {values} |" in text
    title = f"Task: {task['name']}, version 3"
    assert title in html and title in text and "Accuracy by level" not in text
    if task is RANKED:
        assert found["task"]["runs"]["weak"]["unknown_names"]["differential"]["names"] == 5
        assert "weak: Names not in the tree: 5 in 5 of 40 answers" in text
        assert "strong: Not computed: citation recall." in text
    else:
        assert "The same whatever is answered, and so not tested: chance level." in text
    before = digests(tmp_path / "out")
    compare(tmp_path, scripts)
    assert digests(tmp_path / "out") == before


def test_other_options_are_another_question(tmp_path, scripts, tree) -> None:
    for name, skill in SKILLS.items():
        write_task_run(tmp_path / name, CHOICE, skill, tree)
    path = tmp_path / "strong" / "predictions.jsonl"
    first, *others = read_jsonl(path)
    write_jsonl(path, [first | {"options": first["options"][::-1]}, *others])
    with pytest.raises(UserError, match=r"different options: run strong, case case-000\."):
        compare(tmp_path, scripts)
    assert not (tmp_path / "out").exists()
