"""``skinr1 demo``: every stage after the other, from a folder of recipes to a table and a page.

Each stage is the same command a user would type. A finished stage is kept when it was made by the same command from
the same recipe and the same earlier stages; else the run stops, because what follows would be made from something else.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from skinr1 import config
from skinr1.errors import UserError
from skinr1.stage import MANIFEST, config_hash, file_hash, write_atomic

ORIGIN = "pipeline_origin"


@dataclass
class Arguments:
    """Which recipes, where to, from which seed."""

    recipes: list[Path] = field(
        default_factory=lambda: [Path("recipes/tiny")],
        metadata={"help": "Folders with one YAML a stage; where several have one, the last of them counts."},
    )
    output: Path = field(default=Path("runs/demo"), metadata={"help": "Run folder: one folder a stage."})
    seed: int = field(default=17, metadata={"help": "Seed of every stage that draws at random."})
    processes: int = field(default=2, metadata={"help": "torchrun processes of the training stages."})


@dataclass(frozen=True)
class Stage:
    """A command, its recipe, and the folder that holds its manifest when it has finished."""

    name: str
    command: list[str]
    recipe: Path
    folder: Path


def recipe_of(name: str, folders: Sequence[Path]) -> Path | None:
    """The stage's YAML; None where no folder has one."""
    return next((path for path in (folder / f"{name}.yaml" for folder in reversed(folders)) if path.is_file()), None)


def torchrun(script: str, processes: int) -> list[str]:
    """The command of a training script, on a port of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    return [*launcher, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", f"recipes/{script}.py"]


def stages(args: Arguments) -> Iterator[Stage]:
    """The stages of a recipe folder, in order; a stage without a YAML there is no part of this pipeline."""
    out, seed = args.output, str(args.seed)

    def stage(name: str, program: list[str], *options: object) -> Iterator[Stage]:
        recipe = recipe_of(name, args.recipes)
        if recipe:
            command = [*program, "--config", str(recipe), *map(str, options)]
            folder = Path(command[max(i for i, part in enumerate(command) if part in ("--output", "--output_dir")) + 1])
            yield Stage(name, command, recipe, folder)

    def module(name: str) -> list[str]:
        return [sys.executable, "-m", name]

    base = ["--model", out / "base"] if recipe_of("pretrain", args.recipes) else []
    yield from stage("knowledge", module("data_builders.knowledge"), "--output", out / "knowledge")
    # A source that cannot name its patients is divided after a look at its pictures, which lie below the cases then.
    raw = out / "cases" / "unsplit" if recipe_of("splits", args.recipes) else out / "cases"
    yield from stage("cases", module("data_builders.cases"), "--output", raw, "--seed", seed)
    yield from stage(
        "splits", module("data_builders.splits"), "--cases", raw, "--output", out / "cases", "--seed", seed
    )
    # A source without annotated signs has nothing to reason from: then the trajectories are of another one's cases.
    yield from stage("atlas", module("data_builders.cases"), "--output", out / "atlas", "--seed", seed)
    dense = out / "atlas" if recipe_of("atlas", args.recipes) else out / "cases"
    inputs = ["--cases", dense, "--knowledge", out / "knowledge"]
    yield from stage("trajectories", module("data_builders.trajectories"), *inputs, "--output", out / "trajectories")
    yield from stage("captions", module("data_builders.captions"), *inputs, "--output", out / "captions")
    yield from stage("rl", module("data_builders.rl"), "--cases", out / "cases", "--output", out / "rl")
    yield from stage(
        "pretrain",
        torchrun("pretrain", args.processes),
        *("--train_file", out / "captions" / "train.jsonl"),
        *("--language_files", out / "trajectories" / "train.jsonl"),
        *("--output_dir", out / "base", "--seed", seed),
    )
    yield from stage(
        "sft",
        torchrun("sft", args.processes),
        *base,
        *("--train_file", out / "trajectories" / "train.jsonl", "--output_dir", out / "sft", "--seed", seed),
    )
    yield from stage(
        "grpo",
        torchrun("grpo", args.processes),
        *("--model", out / "sft", "--train_file", out / "rl" / "train.jsonl", "--knowledge", out / "knowledge"),
        *("--output_dir", out / "grpo", "--seed", seed),
    )
    yield from stage(
        "evaluate",
        [sys.executable, "eval/run.py"],
        *("--run", out, "--output", out / "page", "--seed", seed),
    )


def environment() -> dict[str, str]:
    """The children's: one thread a process, as torchrun would set it, and the programs beside it (ninja) on PATH."""
    programs = str(Path(sys.executable).parent)
    return {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}


def origin(stage: Stage, before: Sequence[Stage]) -> str:
    """Identity of what a stage is made from: its command, its recipe, the manifests of the stages before it."""
    manifests = [file_hash(earlier.folder / MANIFEST) for earlier in before]
    return config_hash({"command": stage.command[1:], "recipe": file_hash(stage.recipe), "before": manifests})


def is_finished(stage: Stage, made_from: str) -> bool:
    """Whether the stage is there, made from the same; one without a record was made by hand and counts as it is.

    Raises:
        UserError: it was made from something else.
    """
    if not (stage.folder / MANIFEST).is_file():
        return False
    record = stage.folder / ORIGIN
    if record.is_file() and record.read_text(encoding="utf-8") != made_from:
        raise UserError(
            f"stage {stage.name} was made with another seed or recipe, or from other earlier stages",
            str(stage.folder),
            "Remove this folder to make it again, or give another --output.",
        )
    return True


def run_stage(stage: Stage, before: Sequence[Stage], total: int, console: Console) -> float:
    """Runs one stage unless it is finished; returns its seconds.

    Raises:
        UserError: the stage's program failed (its own error stands above), or :func:`is_finished` says so.
    """
    number, made_from = len(before) + 1, origin(stage, before)
    if is_finished(stage, made_from):
        console.print(f"[dim]{number}/{total} {stage.name}: finished before, kept ({stage.folder})[/dim]")
        return 0.0
    console.print(
        f"[bold]{number}/{total} {stage.name}[/bold]  [dim]{shlex.join(stage.command[1:])}[/dim]", soft_wrap=True
    )
    started = time.monotonic()
    code = subprocess.run(stage.command, env=environment(), check=False).returncode
    if code:
        raise UserError(
            f"stage {stage.name} ended with code {code}", str(stage.folder), "Read its message above, mend, run again."
        )
    write_atomic(stage.folder / ORIGIN, made_from)
    return time.monotonic() - started


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "skinr1 demo")
    console = Console()
    for folder in args.recipes:
        if not folder.is_dir():
            raise UserError("no such recipe folder", str(folder), "Run from the project's root, or give --recipes.")
    plan = list(stages(args))
    seconds = [run_stage(stage, plan[:index], len(plan), console) for index, stage in enumerate(plan)]
    spent = ", ".join(f"{stage.name} {took:.0f} s" for stage, took in zip(plan, seconds, strict=True))
    console.print(f"[dim]{spent}; {sum(seconds):.0f} s in all[/dim]")


if __name__ == "__main__":
    config.run(main)
