"""What the step of a recipe takes: the parts of each logged step but the first, and errors that say what to do."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend("benchmarks")
    import grpo_recipe

    return grpo_recipe


def log(step: int, rollout: float, update: float) -> dict[str, float]:
    times = {"time/rollout": rollout, "time/reward": 0.25, "time/score": 0.5, "time/update": update}
    return {**times, "step": step, "completions/mean_length": 90.0 + step, "completions/max_length": 120.0}


def test_medians_of_parts_and_of_whole_steps(bench):
    found = bench.summary([log(2, 1.0, 9.0), log(3, 5.0, 5.0), log(4, 2.0, 2.0)])
    assert (found["rollout"], found["update"], found["reward"]) == (2.0, 5.0, 0.25)
    assert found["step"] == 10.75, "the median of sums, not the sum of medians"
    assert found["lengths"] == {"mean": 93.0, "max": 120.0}


def test_a_recipe_that_fails_says_why(tmp_path: Path):
    recipe = tmp_path / "grpo.yaml"
    recipe.write_text("model: nowhere/at/all\ntrain_file: none.jsonl\noutput_dir: x\nuse_cpu: true\nbf16: false\n")
    options = ["--recipe", str(recipe), "--processes", "1", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "benchmarks/grpo_recipe.py", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the recipe ended with ") and "no such model folder" in last
    assert not (tmp_path / "out").exists()
