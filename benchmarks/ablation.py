"""Which part does what: base, SFT, GRPO without SFT, GRPO with a binary reward, with skin_r1, with safe, group-aware.

    python benchmarks/ablation.py --seeds 17 18 19
    python benchmarks/ablation.py --arms safe binary        (some arms; what was run before stays in the table)

The hypothesis is the order that Skin-R1 reports (arXiv 2511.14900, ablation): base < SFT < SFT + RL, and the
hierarchical reward above the binary one out of distribution. The tables say what holds here, on the embedded model.
Writes ablation.json, ablation.md and ablation.svg; no number is typed by hand.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import study
from contrasts import Answers, compare, plot, seed_table, slices, table
from learning import GRPO
from rich.console import Console

from skinr1 import config
from skinr1.errors import UserError
from skinr1.metrics import read_outcomes
from skinr1.stage import MANIFEST, write_atomic
from skinr1.taxonomy import Taxonomy

# An adapter like the one that SFT makes and the other arms go on with.
FRESH = ("--lora_rank", "64", "--lora_alpha", "64", "--lora_dropout", "0.0")
ARMS = (
    GRPO,
    study.Arm("binary", study.SFT, ("--reward_preset", "binary")),
    study.Arm("skin_r1", study.SFT, ("--reward_preset", "skin_r1")),
    study.Arm("safe_groups", study.SFT, ("--reward_preset", "safe", "--group_columns", "skin_tone")),
    study.Arm("without_sft", study.BASE, ("--reward_preset", "safe", *FRESH)),
)
PAIRS = (
    ("sft", "base"),
    ("without_sft", "base"),
    ("binary", "sft"),
    ("skin_r1", "sft"),
    ("safe", "sft"),
    ("skin_r1", "binary"),
    ("safe", "binary"),
    ("safe_groups", "safe"),
)
ORDER = ("base", "sft", "without_sft", "binary", "skin_r1", "safe", "safe_groups")
COLUMNS = slices(study.IN_DISTRIBUTION, study.SHIFTS)
PLOTTED = [
    column for column in COLUMNS if column.name in ("in-distribution hF", "out-of-distribution hF", "worst tone hF")
]


@dataclass
class Arguments(study.Arguments):
    """Which arms, over which seeds, how long, judged on how many cases."""

    arms: list[str] = field(
        default_factory=lambda: [arm.name for arm in ARMS], metadata={"help": f"Of {', '.join(a.name for a in ARMS)}."}
    )


def chosen(names: Sequence[str]) -> list[study.Arm]:
    """Raises UserError for an unknown arm."""
    known = {arm.name: arm for arm in ARMS}
    for name in names:
        if name not in known:
            raise UserError("no such arm", name, f"Use {', '.join(known)}.")
    return [known[name] for name in names]


def collect(args: Arguments, taxonomy: Taxonomy) -> Answers:
    """Every finished answer of every model of the seeds, also of arms that this call did not run."""
    found: dict[int, dict[str, dict[str, list]]] = {}
    for seed in args.seeds:
        answers = args.output / f"seed-{seed}" / "answers"
        for done in sorted(answers.glob(f"*/*/{MANIFEST}")):
            model, cases = done.parent.name, done.parent.parent.name
            found.setdefault(seed, {}).setdefault(model, {})[cases] = read_outcomes(done.parent, taxonomy)
    return found


def write(args: Arguments, answers: Answers, taxonomy: Taxonomy) -> str:
    """Writes the result files and returns the Markdown."""
    models = [model for model in ORDER if any(model in run for run in answers.values())]
    result = compare(answers, models, PAIRS, COLUMNS, taxonomy)
    text = "\n".join(
        (
            table(result["models"], COLUMNS, "model"),
            table(result["differences"], COLUMNS, "paired difference", "+"),
            seed_table(result["differences"], COLUMNS),
        )
    )
    write_atomic(args.output / "ablation.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    write_atomic(args.output / "ablation.md", text)
    write_atomic(args.output / "ablation.svg", plot(result["models"], PLOTTED))
    return text


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "ablation")
    arms, taxonomy = chosen(args.arms), Taxonomy.load()
    for run in study.runs(args, arms):
        for model in (study.BASE, study.SFT, *args.arms):
            for cases in (study.IN_DISTRIBUTION, *study.SHIFTS):
                run.answer(model, cases)
        write(args, collect(args, taxonomy), taxonomy)
    print(write(args, collect(args, taxonomy), taxonomy))
    Console().print(f"{args.output / 'ablation.md'}", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
