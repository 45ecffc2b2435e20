"""The study in miniature, through the command a user types: an untrained base, one step of each training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.recipes import runs

SHORT = {
    "cases": {"dense_patients": 30, "sparse_patients": 30},
    "sft": {"max_steps": 1, "per_device_train_batch_size": 2},
    "grpo": {"per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 8, "save_strategy": "no"},
}


def shorten(recipes: Path, target: Path) -> Path:
    target.mkdir()
    for name, changes in SHORT.items():
        recipe = yaml.safe_load((recipes / f"{name}.yaml").read_text(encoding="utf-8"))
        (target / f"{name}.yaml").write_text(yaml.safe_dump({**recipe, **changes}), encoding="utf-8")
    return target


def run(*options: object) -> str:
    command = [sys.executable, "benchmarks/learning.py", *map(str, options)]
    done = subprocess.run(
        command, cwd=runs.ROOT, env=runs.environment(), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_a_seed_from_data_to_the_table_and_again(tmp_path: Path):
    base = runs.write_base(tmp_path / "base", "qwen2_5_vl")
    short = shorten(runs.ROOT / "recipes" / "tiny_study", tmp_path / "recipes")
    options = ["--recipes", "recipes/tiny", "recipes/tiny_study", short, "--output", tmp_path / "study"]
    options += ["--base", base, "--seeds", 3, "--steps", 1, "--cases_limit", 4, "--max_tokens", 8]
    first = run(*options)
    result = json.loads((tmp_path / "study" / "learning.json").read_text())["seeds"]["3"]
    assert list(result) == ["base", "sft", "safe"] and {scores["n"] for scores in result.values()} == {4}
    assert result["safe"]["paired"]["baseline"] == "sft" and "in 0 of 1 seeds" in first
    again = run(*options)
    assert again.count("finished before, kept") == 6
    assert again.splitlines()[-1] == first.splitlines()[-1]
