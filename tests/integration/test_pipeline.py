"""Every stage of a recipe folder, shortened, through the command a user types, with a real vLLM at the end."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.recipes import runs

TINY_MODEL = {"hidden": 64, "intermediate": 96, "layers": 2, "heads": 2, "vision_hidden": 64, "vision_layers": 2}
SHORT: dict[str, dict[str, Any]] = {
    "cases": {"caption_patients": 8, "dense_patients": 60, "sparse_patients": 60},
    "pretrain": {"max_steps": 2, "per_device_train_batch_size": 4, **TINY_MODEL},
    "sft": {"max_steps": 2, "per_device_train_batch_size": 2},
    "grpo": {"max_steps": 2, "per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 8},
    "evaluate": {"cases_limit": 4, "max_tokens": 16},
}


def shorten(recipes: Path, target: Path, **changes: dict[str, Any]) -> Path:
    """A copy of a recipe folder that ends in a minute and proves nothing but that the parts fit."""
    shutil.copytree(recipes, target)
    for path in target.glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        shared = {
            key: value for key, value in SHORT.get(path.stem, {}).items() if path.stem != "cases" or key in recipe
        }
        path.write_text(yaml.safe_dump({**recipe, **shared, **changes.get(path.stem, {})}), encoding="utf-8")
    return target


def run_pipeline(recipes: Path, output: Path) -> str:
    command = [sys.executable, "-m", "skinr1.pipeline", "--recipes", recipes, "--output", output, "--processes", 1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=runs.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def check_run(output: Path, stdout: str) -> None:
    """Table, page and serve command are there, and each model was scored on the same cases."""
    page = (output / "page" / "index.html").read_text(encoding="utf-8")
    assert "not a medical device" in page
    scores = {
        name: json.loads((output / "scores" / name / "scores.json").read_text()) for name in ("base", "sft", "grpo")
    }
    assert {result["n"] for result in scores.values()} == {4}
    assert "hierarchical_f" in scores["grpo"]["paired"]["metrics"]
    assert "skinr1 serve" in stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_rendered_clinic_from_nothing_to_a_page(tmp_path: Path):
    recipes = shorten(runs.ROOT / "recipes" / "tiny", tmp_path / "recipes")
    check_run(tmp_path / "run", run_pipeline(recipes, tmp_path / "run"))
    assert "rendered, not clinical" in (tmp_path / "run" / "page" / "index.html").read_text(encoding="utf-8").lower()
    again = run_pipeline(recipes, tmp_path / "run")
    assert again.count("finished before, kept") == 9


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.timeout(1500)
def test_real_photographs(tmp_path: Path, shared_data: Path):
    base = runs.write_base(tmp_path / "base", "qwen2_5_vl")
    photographs = {"path": str(shared_data / "pad_ufes_20")}
    recipes = shorten(
        runs.ROOT / "recipes" / "pad_ufes_20", tmp_path / "recipes", cases=photographs, sft={"model": str(base)}
    )
    check_run(tmp_path / "run", run_pipeline(recipes, tmp_path / "run"))
    cases = (tmp_path / "run" / "cases" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    rejected = (tmp_path / "run" / "cases" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(cases) + len(rejected) == 319
