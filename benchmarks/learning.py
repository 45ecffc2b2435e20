"""Does GRPO lift the embedded model over SFT? The pipeline from several seeds, and one table.

    make bench-learning            (python benchmarks/learning.py --seeds 17 18 19)

Each seed renders its own patients, fine-tunes, runs GRPO and evaluates on patients of its own. The pretrained base is
made once, from the first seed, and shared: it stands for the one base model that every real run starts from.
Reads the scores that the pipeline wrote; no number here is typed by hand.
"""

import json
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1 import config, pipeline
from skinr1.metrics import markdown_table
from skinr1.stage import MANIFEST, write_atomic

MODELS = ("base", "sft", "grpo")


@dataclass
class Arguments:
    """Which recipes and seeds."""

    recipes: list[Path] = field(
        default_factory=lambda: [Path("recipes/tiny"), Path("recipes/tiny_long")],
        metadata={"help": "As for skinr1 demo: the demo's, with a longer GRPO and more patients to judge it on."},
    )
    output: Path = field(default=Path("runs/bench-learning"), metadata={"help": "One run folder a seed below it."})
    seeds: list[int] = field(default_factory=lambda: [17, 18, 19], metadata={"help": "One pipeline each."})


def collect(run: Path) -> dict[str, Any]:
    """Scores of the three models of a run."""
    return {name: json.loads((run / "scores" / name / "scores.json").read_text()) for name in MODELS}


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """One table a seed, as the pipeline writes it."""
    return "\n".join(f"Seed {seed}:\n\n{markdown_table(scores)}" for seed, scores in results.items())


def is_lifted(scores: dict[str, Any]) -> bool:
    """Whether the interval of GRPO minus SFT in hierarchical F lies above 0."""
    return (scores["grpo"]["paired"]["metrics"]["hierarchical_f"]["low"] or 0) > 0


def share_base(first: Path, run: Path) -> None:
    """Puts the first seed's pretrained base into a later run, so that its stage counts as finished."""
    if run != first and not (run / "base" / MANIFEST).is_file():
        shutil.copytree(first / "base", run / "base", ignore=shutil.ignore_patterns(pipeline.ORIGIN))


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "learning")
    results = {}
    first = args.output / f"seed-{args.seeds[0]}"
    for seed in args.seeds:
        run = args.output / f"seed-{seed}"
        share_base(first, run)
        pipeline.main(["--recipes", *map(str, args.recipes), "--output", str(run), "--seed", str(seed)])
        results[str(seed)] = collect(run)
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        write_atomic(args.output / "learning.json", json.dumps({"machine": machine, "seeds": results}, indent=2) + "\n")
        write_atomic(args.output / "learning.md", markdown(results))
    print(markdown(results))
    lifted = sum(is_lifted(scores) for scores in results.values())
    print(f"hierarchical F: the 95 % interval of GRPO minus SFT lies above 0 in {lifted} of {len(results)} seeds")


if __name__ == "__main__":
    config.run(main)
