"""eval/compare.py: pairs of runs are tested on the same cases, and a page says what the tests show."""

import json
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.page.content import metric_name
from skinr1.stage import read_jsonl, write_jsonl, write_manifest
from tests.folders import digests


def arguments(run: Path, names: list[str], *more: str) -> list[str]:
    folders = [str(run / "predictions" / name) for name in names]
    fast = ["--resamples=100", "--permutations=2000", f"--taxonomy={run}/taxonomy.yaml"]
    return ["--predictions", *folders, f"--output={run / 'compare'}", *fast, *more]


def test_three_runs_side_by_side(run, scripts, capsys) -> None:
    scripts["compare"].main(arguments(run, ["base", "sft", "grpo"]))
    found = json.loads((run / "compare" / "compare.json").read_text())
    assert list(found["runs"]) == ["base", "sft", "grpo"]
    top = {(p["first"], p["second"]): p for p in found["pairs"] if p["metric"] == "top1"}
    assert set(top) == {("base", "sft"), ("base", "grpo"), ("sft", "grpo")}
    assert top["base", "grpo"]["differs"] and top["base", "grpo"]["difference"]["value"] < 0
    only = top["sft", "grpo"]["discordant"]
    gap = found["runs"]["sft"]["top1"]["value"] - found["runs"]["grpo"]["top1"]["value"]
    assert (only[0] - only[1]) / 84 == pytest.approx(gap, abs=1e-5)
    assert all(pair["p_holm"] >= pair["p"] for pair in found["pairs"])
    assert "tests show a difference" in capsys.readouterr().out
    page = (run / "compare" / "index.html").read_text()
    text = (run / "compare" / "index.md").read_text()
    for words in ("McNemar", "rendered, not clinical", "base − grpo"):
        assert words in page and words in text, words
    short = text[: text.index("## Side by side")].lower()
    assert all(metric_name(pair["metric"]).lower() in short for pair in found["pairs"] if pair["differs"])
    assert "<script" not in page
    first = digests(run / "compare")
    scripts["compare"].main(arguments(run, ["base", "sft", "grpo"]))
    assert digests(run / "compare") == first


def test_a_run_does_not_differ_from_itself(run, scripts) -> None:
    scripts["compare"].main(arguments(run, ["sft", "sft"], "--names", "one", "two"))
    found = json.loads((run / "compare" / "compare.json").read_text())
    assert not any(pair["differs"] for pair in found["pairs"])
    assert {pair["p"] for pair in found["pairs"]} == {1.0}
    assert "does not prove equality" in (run / "compare" / "index.md").read_text()


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        (["sft"], [], r"1 run\(s\) to compare"),
        (["sft", "sft"], [], "one name each"),
        (["sft", "grpo"], ["--names", "a"], "one name each"),
        (["sft", "grpo"], ["--permutations", "100"], "no test could show anything"),
    ],
)
def test_what_cannot_be_compared_is_refused(run, scripts, names, more, message) -> None:
    with pytest.raises(UserError, match=message):
        scripts["compare"].main(arguments(run, names, *more))


def test_runs_on_other_cases_are_refused(run, scripts) -> None:
    path = run / "predictions" / "base" / "predictions.jsonl"
    write_jsonl(path, list(read_jsonl(path))[1:])
    with pytest.raises(UserError, match="only one of the two runs"):
        scripts["compare"].main(arguments(run, ["base", "grpo"]))


def test_runs_of_other_tasks_are_refused(run, scripts) -> None:
    for name, version in (("sft", 1), ("grpo", 2)):
        task = {"name": "choice", "version": version}
        write_manifest(run / "predictions" / name, "predict", config={"task": task})
    with pytest.raises(UserError, match=r"different tasks: .*choice, version 2.*choice, version 1") as caught:
        scripts["compare"].main(arguments(run, ["sft", "grpo"]))
    assert "\n" not in str(caught.value)
