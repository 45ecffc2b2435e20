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
from skinr1.stage import MANIFEST, write_atomic

MODELS = ("base", "sft", "grpo")
METRICS = ("valid_report_rate", "top1", "hierarchical_f", "malignancy_sensitivity")
TITLES = ("valid reports", "top-1", "hierarchical F", "malignancy sensitivity")


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
    """Scores of the three models of a run, and the paired differences of GRPO to SFT."""
    scores = {name: json.loads((run / "scores" / name / "scores.json").read_text()) for name in MODELS}
    return {
        "n": scores["grpo"]["n"],
        "patients": scores["grpo"]["patients"],
        "metrics": {name: {metric: scores[name]["metrics"][metric] for metric in METRICS} for name in MODELS},
        "grpo_minus_sft": {metric: scores["grpo"]["paired"]["metrics"][metric] for metric in METRICS},
    }


def interval(estimate: dict[str, Any], sign: str = "") -> str:
    """``0.52 [0.49, 0.55]``; without an interval where none can be computed."""
    value = f"{estimate['value']:{sign}.3f}"
    if estimate["low"] is None:
        return value
    return f"{value} [{estimate['low']:{sign}.3f}, {estimate['high']:{sign}.3f}]"


def markdown(results: dict[str, Any]) -> str:
    """One row a seed and model, and the paired difference that the claim rests on."""
    lines = [f"| seed | model | {' | '.join(TITLES)} |", "| --- " * (len(TITLES) + 2) + "|"]
    for seed, result in results.items():
        for name in MODELS:
            cells = " | ".join(interval(result["metrics"][name][metric]) for metric in METRICS)
            lines.append(f"| {seed} | {name} | {cells} |")
        cells = " | ".join(interval(result["grpo_minus_sft"][metric], "+") for metric in METRICS)
        lines.append(f"| {seed} | GRPO minus SFT, paired | {cells} |")
    return "\n".join(lines) + "\n"


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
    lifted = [seed for seed, result in results.items() if (result["grpo_minus_sft"]["hierarchical_f"]["low"] or 0) > 0]
    print(f"hierarchical F: the 95 % interval of GRPO minus SFT lies above 0 in {len(lifted)} of {len(results)} seeds")


if __name__ == "__main__":
    config.run(main)
