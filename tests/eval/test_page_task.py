"""The page of a task's run: its metrics with intervals and meanings, and the names that nobody knows."""

import json
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.page.content import cell
from skinr1.page.markdown import plain
from skinr1.taxonomy import Taxonomy
from tests.eval.conftest import TREE
from tests.eval.task_runs import CASES, CHOICE, RANKED, write_task_run


@pytest.fixture
def tree(tmp_path: Path) -> Taxonomy:
    (tmp_path / "taxonomy.yaml").write_text(TREE)
    return Taxonomy.load(tmp_path / "taxonomy.yaml")


def page(folder: Path, scripts, names: list[str]) -> tuple[str, str]:
    for name in names:
        given = [f"--predictions={folder}/predictions/{name}", f"--output={folder}/scores/{name}", "--resamples=50"]
        scripts["score"].main([*given, f"--taxonomy={folder}/taxonomy.yaml"])
    scripts["page"].main([f"--run={folder}", "--models", *names, f"--taxonomy={folder}/taxonomy.yaml"])
    return (folder / "page" / "index.html").read_text(), (folder / "page" / "index.md").read_text()


def scores_of(folder: Path, name: str):
    return json.loads((folder / "scores" / name / "scores.json").read_text())


def test_a_task_is_shown_first_with_its_metrics_and_what_they_mean(tmp_path, scripts, tree) -> None:
    for name, skill in (("weak", 0.2), ("strong", 0.8)):
        write_task_run(tmp_path / "predictions" / name, CHOICE, skill, tree)
    html, text = page(tmp_path, scripts, ["weak", "strong"])
    found = [scores_of(tmp_path, name)["metrics"]["choice_accuracy"] for name in ("weak", "strong")]
    values = " | ".join(plain(cell(estimate)) for estimate in found)
    assert f"| choice accuracy | {CASES} | {values} | answers that name the right option |" in text
    assert text.index("## Task: four, version 3") < text.index("## In short")
    assert "<td>answers that name the right option</td>" in html and "About four." in html
    assert "exact diagnosis" not in text[text.index("## In short") : text.index("## Results")]
    assert "Names not in" not in text and "Not computed" not in text


def test_names_that_nobody_knows_are_counted_and_escaped(tmp_path, scripts, tree, capsys) -> None:
    write_task_run(tmp_path / "predictions" / "one", RANKED, 0.5, tree)
    html, text = page(tmp_path, scripts, ["one"])
    scores = scores_of(tmp_path, "one")
    # lists 0, 16 and 32 begin with it and keep nothing of two known names; 8 and 24 keep the first and lose the third
    assert scores["task"]["unknown_names"]["differential"] == {
        "answers": CASES,
        "with_unknown": 5,
        "names": 5,
        "distinct": 1,
        "cut": 2,
        "invalid": 3,
        "lost": 3 * 2 + 2,
        "most_frequent": [["<b>the plague</b> | x", 5]],
    }
    assert scores["invalid"] == {"diagnosis": 3}
    assert scores["task"]["not_computed"] == ["citation_recall"]
    told = "Names not in the tree: 5 in 5 of 40 answers"
    for words in (told, "Not computed: citation recall"):
        assert words in html and words in text
    assert "<b>the plague" not in html and "“&lt;b&gt;the plague&lt;/b&gt; | x” 5" in html
    assert "“&lt;b&gt;the plague&lt;/b&gt; \\| x” 5" in text
    said = " ".join(capsys.readouterr().out.split())
    assert f"{told} (“<b>the plague</b> | x” 5)" in said and "Not computed: citation recall." in said


def test_runs_of_two_tasks_have_no_page(tmp_path, scripts, tree) -> None:
    write_task_run(tmp_path / "predictions" / "one", RANKED, 0.5, tree)
    write_task_run(tmp_path / "predictions" / "two", CHOICE, 0.5, tree)
    with pytest.raises(UserError, match="different tasks"):
        page(tmp_path, scripts, ["one", "two"])
    assert not (tmp_path / "page").exists()


def test_scores_from_before_names_were_counted_are_asked_for_again(tmp_path, scripts, tree) -> None:
    write_task_run(tmp_path / "predictions" / "one", CHOICE, 0.8, tree)
    page(tmp_path, scripts, ["one"])
    old = scores_of(tmp_path, "one")
    del old["task"]["unknown_names"]
    (tmp_path / "scores" / "one" / "scores.json").write_text(json.dumps(old))
    with pytest.raises(UserError, match="before unknown names were counted"):
        scripts["page"].main([f"--run={tmp_path}", "--models", "one", f"--taxonomy={tmp_path}/taxonomy.yaml"])
