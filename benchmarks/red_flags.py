"""What the red-flag rule finds and what it costs at several thresholds, on a folder of predictions: one table.

    python benchmarks/red_flags.py --predictions runs/demo/predictions/grpo

Sensitivity: of the cases whose true diagnosis is of the kind, those flagged so; an answer that cannot be read flags
nothing and stays in the denominator. False alarms: of the other cases, those flagged. At a threshold of 1 little but
the leading diagnosis counts: that row is what the model alone would have said.
"""

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from skinr1 import config
from skinr1.errors import UserError
from skinr1.report import InvalidAnswer, Report, parse
from skinr1.serving.rules import Kind, RedFlagPolicy, suspicions
from skinr1.stage import canonical_json, read_jsonl, write_atomic
from skinr1.taxonomy import Bucket, Taxonomy

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 1.0)
KINDS: tuple[Kind, ...] = ("malignant", "infectious")


@dataclass
class Arguments:
    """Which predictions."""

    predictions: Path = field(metadata={"help": "Folder with predictions.jsonl."})
    output: Path = field(default=Path("runs/bench-red-flags"), metadata={"help": "Folder for red_flags.json."})


def is_of(kind: Kind, node: str, taxonomy: Taxonomy) -> bool:
    """Whether a true diagnosis ought to be flagged; of emergencies too few are ever in a test set."""
    if kind == "malignant":
        return taxonomy.bucket(node) is Bucket.MALIGNANT
    return taxonomy.node(node).contagious or taxonomy.path(node)[0] in RedFlagPolicy().infectious_groups


def read(text: str, taxonomy: Taxonomy) -> Report | None:
    try:
        return parse(text, taxonomy).report
    except InvalidAnswer:
        return None


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "red_flags")
    taxonomy = Taxonomy.load()
    rows = [
        (row["diagnoses"], read(row["text"], taxonomy)) for row in read_jsonl(args.predictions / "predictions.jsonl")
    ]
    if not rows:
        raise UserError("no prediction", str(args.predictions), "Run eval/predict.py first.")
    invalid = sum(report is None for _, report in rows)
    table = Table(
        "kind", "threshold", "sensitivity", "false alarms", title=f"Red flags, {len(rows)} cases, {invalid} unreadable"
    )
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        for threshold in THRESHOLDS:
            policy = RedFlagPolicy(**{kind: threshold})  # type: ignore[arg-type]
            true: list[bool] = []
            false: list[bool] = []
            for diagnoses, report in rows:
                flagged = report is not None and any(s.kind == kind for s in suspicions(report, taxonomy, policy))
                (true if any(is_of(kind, node, taxonomy) for node in diagnoses) else false).append(flagged)
            shares = [sum(part) / len(part) if part else float("nan") for part in (true, false)]
            counts = [
                f"{share:.3f} ({sum(part)} of {len(part)})" for share, part in zip(shares, (true, false), strict=True)
            ]
            table.add_row(kind, f"{threshold:g}", *counts)
            found[f"{kind} {threshold:g}"] = {
                "found": sum(true),
                "of": len(true),
                "alarms": sum(false),
                "others": len(false),
            }
    Console(width=110).print(table)
    write_atomic(args.output / "red_flags.json", canonical_json(found) + "\n")


if __name__ == "__main__":
    config.run(main)
