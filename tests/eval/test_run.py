"""eval/run.py: what it scores, whether it runs the controls; the servers are not started here."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.eval.conftest import load


@pytest.fixture
def evaluate(run: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs eval/run.py on answers that are there; returns what the controls were asked for."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "eval"))
    script = load("run")
    asked: list[list[str]] = []
    monkeypatch.setattr(script, "full_models", lambda folder: {name: folder / name for name in script.MODELS})
    monkeypatch.setattr(script, "ask_all", lambda args, folders: None)
    monkeypatch.setitem(sys.modules, "controls", SimpleNamespace(main=asked.append))

    def go(*more: str) -> list[list[str]]:
        script.main([f"--run={run}", f"--output={run / 'page'}", f"--taxonomy={run / 'taxonomy.yaml'}", *more])
        return asked

    return go


def scores(run: Path) -> dict:
    return json.loads((run / "scores" / "grpo" / "scores.json").read_text())


def test_every_model_is_scored_against_the_one_before_and_nothing_more_is_run(run: Path, evaluate) -> None:
    assert evaluate() == []
    assert scores(run)["paired"]["baseline"] == "sft" and scores(run)["tone_from_pixels"] is None
    assert (run / "page" / "index.html").is_file() and "| sft |" in (run / "scores" / "table.md").read_text()


def test_controls_and_tone_when_asked_for(run: Path, evaluate) -> None:
    (asked,) = evaluate("--controls=true", "--tone_from_images=true", "--max_model_len=512", "--dtype=float32")
    options = dict(zip(asked[::2], asked[1::2], strict=True))
    assert options["--model"] == "grpo" and options["--weights"] == str(run / "grpo") and options["--run"] == str(run)
    assert options["--max_model_len"] == "512" and options["--dtype"] == "float32"
    assert options["--taxonomy"] == str(run / "taxonomy.yaml")
    assert scores(run)["tone_from_pixels"]["images"] == 12
    assert "Skin tone from pixels" in (run / "page" / "index.html").read_text()
