"""Does GRPO lift the embedded model over SFT? From several seeds, and one table a seed.

    make bench-learning            (python benchmarks/learning.py --seeds 17 18 19)

Each seed renders its own patients, fine-tunes, runs GRPO with the reward ``safe`` and is judged on patients of its own;
see study.py. The runs are those of ablation.py: what the one has made the other keeps. No number is typed by hand.
"""

import json
import platform
from typing import Any

import study

from skinr1 import config
from skinr1.metrics import markdown_table, read_columns, score
from skinr1.stage import write_atomic
from skinr1.taxonomy import Taxonomy

GRPO = study.Arm("safe", study.SFT, ("--reward_preset", "safe"))
MODELS = (study.BASE, study.SFT, GRPO.name)


def scores_of(run: study.Seed, taxonomy: Taxonomy) -> dict[str, Any]:
    """Scores of the three models on the held-out patients, each against the one before it."""
    found: dict[str, Any] = {}
    before = None
    for model in MODELS:
        columns = read_columns(run.answer(model, study.IN_DISTRIBUTION), taxonomy)
        found[model] = score(columns, taxonomy, before)
        before = (model, columns)
    return found


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """One table a seed."""
    return "\n".join(
        f"Seed {seed}, {scores[GRPO.name]['n']} cases of {scores[GRPO.name]['patients']} patients:\n\n"
        f"{markdown_table(scores)}"
        for seed, scores in results.items()
    )


def is_lifted(scores: dict[str, Any]) -> bool:
    """Whether the interval of GRPO minus SFT in hierarchical F lies above 0."""
    return (scores[GRPO.name]["paired"]["metrics"]["hierarchical_f"]["low"] or 0) > 0


def main(argv: list[str] | None = None) -> None:
    args = config.parse(study.Arguments, argv, "learning")
    taxonomy, results = Taxonomy.load(), {}
    for run in study.runs(args, [GRPO]):
        results[str(run.seed)] = scores_of(run, taxonomy)
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        write_atomic(args.output / "learning.json", json.dumps({"machine": machine, "seeds": results}, indent=2) + "\n")
        write_atomic(args.output / "learning.md", markdown(results))
    print(markdown(results))
    lifted = sum(is_lifted(scores) for scores in results.values())
    print(f"hierarchical F: the 95 % interval of GRPO minus SFT lies above 0 in {lifted} of {len(results)} seeds")


if __name__ == "__main__":
    config.run(main)
