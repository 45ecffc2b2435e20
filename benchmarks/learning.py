"""Does GRPO lift the embedded model over SFT? The whole pipeline from several seeds, and one table.

    make bench-learning            (python benchmarks/learning.py --seeds 17 18 19)

Each seed renders its own patients, pretrains, fine-tunes and evaluates; nothing is shared between seeds.
Reads the scores the pipeline wrote; no number here is typed by hand.
"""

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from skinr1 import config, pipeline
from skinr1.stage import write_atomic

MODELS = ("base", "sft", "grpo")
METRICS = ("valid_report_rate", "top1", "hierarchical_f", "malignancy_sensitivity")


@dataclass
class Arguments:
    """Which recipes and seeds."""

    recipes: Path = field(default=Path("recipes/tiny"), metadata={"help": "Folder with one YAML a stage."})
    output: Path = field(default=Path("runs/bench-learning"), metadata={"help": "One run folder a seed below it."})
    seeds: list[int] = field(default_factory=lambda: [17, 18, 19], metadata={"help": "One whole pipeline each."})


def collect(run: Path) -> dict[str, Any]:
    """Scores of the three models of a run, and the paired differences of GRPO to SFT."""
    scores = {name: json.loads((run / "scores" / name / "scores.json").read_text()) for name in MODELS}
    return {
        "metrics": {name: {metric: scores[name]["metrics"][metric] for metric in METRICS} for name in MODELS},
        "paired_grpo_minus_sft": {metric: scores["grpo"]["paired"]["metrics"][metric] for metric in METRICS},
    }


def interval(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def table(results: dict[str, Any]) -> Table:
    """One row a seed and model, and the paired difference that the claim rests on."""
    rows = Table("seed", "model", *METRICS, "n", title="held-out rendered patients, raw answers, 95 % intervals")
    for seed, result in results.items():
        for name in MODELS:
            estimates = result["metrics"][name]
            cells = [interval(estimates[metric]) for metric in METRICS]
            rows.add_row(seed, name, *cells, str(estimates["hierarchical_f"]["n"]))
        paired = result["paired_grpo_minus_sft"]
        rows.add_row(seed, "GRPO - SFT", *(interval(paired[metric]) for metric in METRICS), "", end_section=True)
    return rows


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "learning")
    results = {}
    for seed in args.seeds:
        run = args.output / f"seed-{seed}"
        pipeline.main(["--recipes", str(args.recipes), "--output", str(run), "--seed", str(seed)])
        results[str(seed)] = collect(run)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    write_atomic(args.output / "learning.json", json.dumps({"machine": machine, "seeds": results}, indent=2) + "\n")
    Console(width=200).print(table(results))
    lifted = [seed for seed, result in results.items() if result["paired_grpo_minus_sft"]["hierarchical_f"]["low"] > 0]
    print(
        f"hierarchical F: GRPO above SFT with a 95 % interval that excludes 0 in {len(lifted)} of {len(results)} seeds"
    )


if __name__ == "__main__":
    config.run(main)
