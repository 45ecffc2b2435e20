"""The study's tables from answers whose scores are known, and which answers are kept."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from skinr1.errors import UserError
from skinr1.metrics import outcomes
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.stage import write_jsonl, write_manifest
from tests.skinr1.outcome_rows import BLUE, ECZEMA, MELANOMA, NEVUS, TREE, row

SHIFTS = ("camera", "tones", "site", "leaves")
TRUTHS = (NEVUS, BLUE, MELANOMA, ECZEMA)


@pytest.fixture(scope="module")
def modules() -> dict[str, ModuleType]:
    """The scripts as they import one another: from their own folder."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        import ablation
        import contrasts
        import study
    finally:
        sys.path.pop(0)
    return {"ablation": ablation, "contrasts": contrasts, "study": study}


def answered(right: float, count: int = 40, dark_right: bool = True) -> list[dict]:
    """Rows of which the share ``right`` is right, the others of another branch; tones in turns."""
    rows = []
    for number in range(count):
        truth, tone = TRUTHS[number % 4], 1 + number % 5
        good = number < right * count and (dark_right or tone < 5)
        wrong = ECZEMA if truth != ECZEMA else NEVUS
        rows.append(row(number, truth, truth if good else wrong, f"p{number}", f"fitzpatrick {tone}"))
    return rows


def put(folder: Path, rows: list[dict]) -> None:
    write_jsonl(folder / PREDICTIONS, rows)
    write_manifest(folder, "predict", config={}, counts={"cases": len(rows)})


def test_tables_say_what_the_answers_say(modules, tmp_path: Path):
    ablation = modules["ablation"]
    args = ablation.Arguments(output=tmp_path, seeds=[17, 18])
    for seed in args.seeds:
        for model, right in (("base", 0.0), ("sft", 0.5), ("safe", 1.0)):
            for cases in ("test", *SHIFTS):
                put(tmp_path / f"seed-{seed}" / "answers" / cases / model, answered(right))
    put(tmp_path / "seed-17" / "answers" / "test" / "binary", answered(0.75))

    text = ablation.write(args, ablation.collect(args, TREE), TREE)
    found = json.loads((tmp_path / "ablation.json").read_text())

    top1 = {model: cells["top-1"] for model, cells in found["models"].items()}
    assert {model: cell["value"] for model, cell in top1.items()} == {
        "majority class": 0.25, "base": 0.0, "sft": 0.5, "binary": 0.75, "safe": 1.0,
    }  # fmt: skip
    assert top1["safe"]["n"] == 80 and top1["safe"]["seeds"] == [17, 18] and top1["binary"]["seeds"] == [17]
    gain = found["differences"]["safe minus sft"]["top-1"]
    assert gain["value"] == 0.5 and gain["low"] > 0 and gain["by_seed"] == {"17": 0.5, "18": 0.5}
    assert found["models"]["safe"]["out-of-distribution hF"]["n"] == 2 * 4 * 40
    # what was not run is told, not left out
    assert "out-of-distribution hF" not in found["models"]["binary"] and "not run" in text
    assert "safe_groups" not in text and "+0.500 [" in text and "17: +0.500, 18: +0.500" in text
    drawn = (tmp_path / "ablation.svg").read_text()
    assert drawn.startswith("<svg") and "worst tone hF" in drawn and "safe" in drawn


def test_the_worst_tone_and_the_mean_over_diagnoses(modules):
    contrasts = modules["contrasts"]
    rows = outcomes(answered(1.0, dark_right=False), TREE)
    answers = {1: {"sft": {"test": rows, "tones": outcomes(answered(1.0), TREE)}}}
    columns = contrasts.slices("test", ["tones"])
    cells = contrasts.compare(answers, ["sft"], [], columns, TREE, resamples=50)["models"]["sft"]
    # tone 5 is wrong in the one set and right in the other
    assert cells["worst tone hF"]["value"] == pytest.approx(0.5, abs=0.05)
    assert cells["worst tone hF"]["value"] < cells["in-distribution hF"]["value"]
    assert cells["top-1, mean over diagnoses"]["value"] == pytest.approx(0.8)


def test_an_unknown_arm_is_one_line(modules):
    with pytest.raises(UserError, match="no such arm"):
        modules["ablation"].chosen(["sfae"])


def test_answers_are_kept_for_the_same_weights_and_cases_only(modules, tmp_path: Path):
    weights, cases = tmp_path / "model.safetensors", tmp_path / "cases.jsonl"
    weights.write_text("a")
    cases.write_text("{}")
    kept = modules["study"]._answered
    assert not kept(tmp_path / "answers", [weights], 3)
    write_manifest(tmp_path / "answers", "predict", config={}, inputs=[cases, weights], counts={"cases": 3})
    assert kept(tmp_path / "answers", [cases, weights], 3) and not kept(tmp_path / "answers", [cases, weights], 4)
    weights.write_text("b")
    assert not kept(tmp_path / "answers", [cases, weights], 3)
