"""eval/compare.py: paired tests against scipy and by hand, and a page that says what they show."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test as scipy_permutation

from skinr1.comparing import discordant, holm, mcnemar, permutation_test
from skinr1.errors import UserError
from skinr1.stage import read_jsonl, write_jsonl


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
    assert "<script" not in page
    first = {path.name: path.read_bytes() for path in (run / "compare").iterdir()}
    scripts["compare"].main(arguments(run, ["base", "sft", "grpo"]))
    assert {path.name: path.read_bytes() for path in (run / "compare").iterdir()} == first


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


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 5) == pytest.approx(2 * 0.5**5)
    assert mcnemar(3, 3) == mcnemar(0, 0) == 1
    assert discordant(np.array([1.0, 0, 1, 1]), np.array([0.0, 1, 0, 1])) == (2, 1)
    assert discordant(np.array([0.5]), np.array([1.0])) is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(max_examples=25, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_test_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= b or a == 1 for a, b in zip(adjusted, p, strict=True))
    assert all(a <= min(1, len(p) * b) + max(p) for a, b in zip(adjusted, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_permutation_is_scipys_where_each_patient_has_one_case() -> None:
    gaps = np.random.default_rng(2).normal(0.4, 1, 12)
    ours = permutation_test(gaps, [str(n) for n in range(12)], 20_000)
    exact = scipy_permutation(
        (gaps, np.zeros(12)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert ours == pytest.approx(exact.pvalue, abs=0.01)


def test_cases_of_one_patient_are_one_toss() -> None:
    """Twenty cases of two patients: no test at 5 % is possible, however many the cases."""
    gaps = np.ones(20)
    assert permutation_test(gaps, ["a"] * 10 + ["b"] * 10, 2000) > 0.4
    assert permutation_test(gaps, [str(n) for n in range(20)], 2000) < 0.01
    assert mcnemar(20, 0) < 0.01
