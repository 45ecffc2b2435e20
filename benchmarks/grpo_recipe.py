"""A step of a GRPO recipe but for the optimizer, TRL's way and with one copy of the prompt, taking turns.

    python benchmarks/grpo_recipe.py            # after make demo

The recipe's own policy, prompts, rewards and lengths of answers, where benchmarks/grpo_step.py has random ones of equal
length. Both ways start from the same weights and seed, and so sample the same answers up to rounding: the table tells
both lengths. Times are medians over all steps of all turns but each turn's first, which warms up.
"""

import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from skinr1 import config
from skinr1.errors import UserError
from skinr1.pipeline import torchrun
from skinr1.progress import progress_bar
from skinr1.stage import canonical_json, read_jsonl, write_atomic

PARTS = ("rollout", "reward", "score", "update")


@dataclass
class Arguments:
    """Which recipe, how long, how often."""

    recipe: Path = field(default=Path("recipes/tiny/grpo.yaml"), metadata={"help": "The recipe."})
    processes: int = field(default=2, metadata={"help": "Processes of torchrun."})
    steps: int = field(default=5, metadata={"help": "GRPO steps a turn; the first warms up."})
    repeats: int = field(default=5, metadata={"help": "Turns of each way."})
    output: Path = field(default=Path("runs/bench-grpo-recipe"), metadata={"help": "Folder for grpo_recipe.json."})


def turn(args: Arguments, shared: bool) -> list[dict[str, Any]]:
    """The logs of one short run, without its first step."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = ["--config", str(args.recipe), "--output_dir", f"{folder}/run"]
        options = ["--max_steps", str(args.steps), "--shared_prefix", str(shared)]
        command = [*torchrun("grpo", args.processes), *recipe, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            told = (line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: "))
            raise UserError(f"the recipe ended with {done.returncode}", str(args.recipe), next(told, "Run it by hand."))
        logs = read_jsonl(Path(folder, "run", "metrics.jsonl"))
        return [row for row in logs if row.get("step", 0) > 1 and "time/update" in row]


def summary(logs: list[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds of each part and of a step, and tokens of the answers that were sampled."""
    parts = {part: [row[f"time/{part}"] for row in logs] for part in PARTS}
    steps = [sum(taken) for taken in zip(*parts.values(), strict=True)]
    lengths = {name: median(row[f"completions/{name}_length"] for row in logs) for name in ("mean", "max")}
    return {**{part: median(taken) for part, taken in parts.items()}, "step": median(steps), "lengths": lengths}


def table(usual: dict[str, Any], ours: dict[str, Any]) -> Table:
    """Seconds, and TRL's over ours."""
    made = Table(title="GRPO recipe, seconds of a step, medians")
    for column in ("", "TRL", "shared prefix", "ratio"):
        made.add_column(column, justify="right" if column else "left")
    for part in (*PARTS, "step"):
        made.add_row(part, f"{usual[part]:.2f}", f"{ours[part]:.2f}", f"{usual[part] / ours[part]:.2f}")
    for name in ("mean", "max"):
        tokens = usual["lengths"][name], ours["lengths"][name]
        made.add_row(f"answer, {name} tokens", *(f"{count:.0f}" for count in tokens), "")
    return made


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "grpo_recipe")
    if args.steps < 2 or args.repeats < 1:
        raise UserError("nothing to measure", f"{args.steps} steps, {args.repeats} turns", "Give 2 steps or more.")
    logs: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    with progress_bar() as progress:
        bar = progress.add_task("GRPO recipe", total=2 * args.repeats)
        for _ in range(args.repeats):
            for shared, found in logs.items():
                found += turn(args, shared)
                progress.advance(bar)
    usual, ours = summary(logs[False]), summary(logs[True])
    write_atomic(args.output / "grpo_recipe.json", canonical_json({"trl": usual, "shared_prefix": ours}) + "\n")
    Console(width=120).print(table(usual, ours))


if __name__ == "__main__":
    config.run(main)
