"""When a finished stage is kept, and when the pipeline stops instead."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

from skinr1 import pipeline
from skinr1.errors import UserError

QUIET = Console(quiet=True)


def stage(folder: Path, name: str, seed: int = 1, recipe: str = "a: 1") -> pipeline.Stage:
    """A stage whose program writes its seed as its manifest, and counts how often it ran."""
    (folder / f"{name}.yaml").write_text(recipe)
    program = (
        "import pathlib, sys; out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True);"
        "(out / 'manifest.json').write_text(sys.argv[2]); open(out / 'runs', 'a').write('x')"
    )
    command = [sys.executable, "-c", program, str(folder / name), str(seed)]
    return pipeline.Stage(name, command, folder / f"{name}.yaml", folder / name)


def run(*plan: pipeline.Stage) -> None:
    for index, one in enumerate(plan):
        pipeline.run_stage(one, plan[:index], len(plan), QUIET)


def runs(folder: Path, name: str) -> int:
    return len((folder / name / "runs").read_text())


def test_the_same_is_kept(tmp_path: Path):
    for _ in range(2):
        run(stage(tmp_path, "one"), stage(tmp_path, "two"))
    assert runs(tmp_path, "one") == runs(tmp_path, "two") == 1


@pytest.mark.parametrize("change", [{"seed": 2}, {"recipe": "a: 2"}])
def test_another_seed_or_recipe_stops(tmp_path: Path, change: dict):
    run(stage(tmp_path, "one"))
    with pytest.raises(UserError, match="stage one was made with another seed or recipe"):
        run(stage(tmp_path, "one", **change))


def test_a_stage_made_from_what_is_no_longer_there_stops(tmp_path: Path):
    run(stage(tmp_path, "one"), stage(tmp_path, "two"))
    (tmp_path / "one" / "manifest.json").unlink()
    with pytest.raises(UserError, match="stage two"):
        run(stage(tmp_path, "one", seed=2), stage(tmp_path, "two"))


def test_a_stage_made_by_hand_counts_as_it_is(tmp_path: Path):
    run(stage(tmp_path, "one"))
    (tmp_path / "one" / pipeline.ORIGIN).unlink()
    run(stage(tmp_path, "one", seed=2))
    assert runs(tmp_path, "one") == 1


def test_a_failing_stage_stops_with_one_line(tmp_path: Path):
    broken = stage(tmp_path, "one")
    broken.command[2] = "import sys; sys.exit(3)"
    with pytest.raises(UserError, match="ended with code 3"):
        run(broken)


def plan(*folders: str) -> dict[str, list[str]]:
    """Stage -> its command, of shipped recipes."""
    args = pipeline.Arguments([Path("recipes") / name for name in folders], Path("out"))
    return {one.name: one.command for one in pipeline.stages(args)}


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_a_source_without_patients_and_signs_is_split_by_pictures_and_reasons_from_an_atlas():
    found = plan("isic_uda1")
    assert list(found) == ["knowledge", "cases", "splits", "atlas", "trajectories", "rl", "sft", "grpo", "evaluate"]
    assert option(found["cases"], "--output") == option(found["splits"], "--cases") == "out/cases/unsplit"
    assert option(found["splits"], "--output") == option(found["rl"], "--cases") == "out/cases"
    assert option(found["atlas"], "--output") == option(found["trajectories"], "--cases") == "out/atlas"


@pytest.mark.parametrize("recipes", ["tiny", "pad_ufes_20"])
def test_any_other_source_is_split_and_reasoned_from_itself(recipes: str):
    found = plan(recipes)
    assert not {"splits", "atlas"} & set(found)
    assert {option(found[name], "--cases") for name in ("trajectories", "rl")} == {"out/cases"}
    assert option(found["cases"], "--output") == "out/cases"
