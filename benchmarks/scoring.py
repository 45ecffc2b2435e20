"""What it costs to score many predictions: seconds and peak memory of reading and of scoring, side by side.

python benchmarks/scoring.py --predictions 1000000 --resamples 1000

Predictions are made up (no model, no patient) but whole: reasoning, report, differential of five, readers' weights,
annotated signs, tone, sex, age and site, for half as many patients. Reading parses every text; scoring computes
everything of scores.json that needs no other folder. The metrics of the reasoning against the textbook are not
among them: they take milliseconds a case, and are made only when asked for.
"""

import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from skinr1 import config
from skinr1.concepts import concepts
from skinr1.metrics import read_columns, score
from skinr1.stage import MANIFEST, write_atomic, write_jsonl
from skinr1.taxonomy import Bucket, Taxonomy

MIB = 1024


@dataclass
class Arguments:
    """How much."""

    predictions: int = field(default=1_000_000, metadata={"help": "Predictions."})
    resamples: int = field(default=1_000, metadata={"help": "Bootstrap resamples of patients."})
    seed: int = field(default=17, metadata={"help": "Seed of the predictions and of the resampling."})
    folder: Path | None = field(default=None, metadata={"help": "Where predictions are kept; default: thrown away."})


def rows(args: Arguments, taxonomy: Taxonomy) -> Iterator[dict[str, Any]]:
    """Predictions of a model that is right about half of the time."""
    draw = random.Random(args.seed)
    diagnoses, signs = sorted(taxonomy.diagnoses), list(concepts())
    common = draw.sample(diagnoses, 120)
    sites, sources = ("face", "trunk", "arm", "leg", "hand", "foot"), ("clinic a", "clinic b", "clinic c")
    for number in range(args.predictions):
        truth, other = draw.choice(common), draw.choice(common)
        said = list(dict.fromkeys([truth if draw.random() < 0.5 else other, *draw.sample(common, 6)]))[:5]
        shown = draw.sample(signs, 4)
        weight = draw.choice((0.55, 0.67, 0.75))
        yield {
            "case_id": f"case-{number:07}",
            "patient_id": f"patient-{number // 2:07}",
            "source": draw.choice(sources),
            "modality": "clinical",
            "site": draw.choice(sites),
            "sex": draw.choice(("female", "male", None)),
            "age": draw.randrange(95),
            "skin_tone": draw.choice((*(f"fitzpatrick {n}" for n in range(1, 7)), None)),
            "tone_provenance": draw.choice(("clinician", "self_report")),
            "diagnoses": [truth],
            "condition": taxonomy.bucket(truth),
            "differential": [[truth, weight], [other, round(1 - weight, 2)]] if other != truth else [],
            "findings": shown[:3],
            "findings_absent": draw.sample(signs, 2),
            "text": "no report" if draw.random() < 0.02 else answer(said, shown, taxonomy, draw),
            "finish_reason": "stop",
        }


def answer(said: list[str], shown: list[str], taxonomy: Taxonomy, draw: random.Random) -> str:
    """A whole answer of about 1,500 characters."""
    reasoning = f"There is {shown[0]} with {shown[1]}, but no {shown[3]}. I see {shown[2]}. "
    reasoning += f"The signs speak for {taxonomy.node(said[0]).name} and less for {taxonomy.node(said[1]).name}."
    first = draw.randrange(30, 80)
    probabilities = [first, (100 - first) // 2, (100 - first) // 4, (100 - first) // 8, 1]
    entries = [
        {"diagnosis": node, "probability": p / 100, "evidence_for": shown[:2], "evidence_against": shown[3:]}
        for node, p in zip(said, probabilities, strict=True)
    ]
    report = {
        "schema_version": "v1",
        "findings": shown[:3],
        "diagnosis": said[0],
        "condition": taxonomy.bucket(said[0]) or Bucket.INDETERMINATE,
        "differential": entries,
        "confidence": "moderate",
        "advice": "routine_visit",
        "citations": [],
        "disclaimer": "Research software, not a medical device.",
    }
    return f"<think>{reasoning}</think>\n{json.dumps(report)}"


@dataclass(frozen=True)
class Cost:
    """Seconds, and the most memory that this process (and the largest of its children) ever held, in MiB."""

    seconds: float
    own: float
    children: float


def measured(folder: Path, args: Arguments, taxonomy: Taxonomy) -> dict[str, Cost]:
    """Reading, then scoring. Peak memory never falls, so the second holds the first."""
    costs = {}
    start = time.perf_counter()
    columns = read_columns(folder, taxonomy)
    costs["read and parse"] = _cost(start)
    start = time.perf_counter()
    score(columns, taxonomy, resamples=args.resamples, seed=args.seed)
    costs["score"] = _cost(start)
    return costs


def _cost(start: float) -> Cost:
    own, children = (
        resource.getrusage(who).ru_maxrss / MIB for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return Cost(time.perf_counter() - start, own, children)


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "scoring")
    taxonomy = Taxonomy.load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / MANIFEST).is_file():
            write_jsonl(folder / "predictions.jsonl", rows(args, taxonomy))
            write_atomic(folder / MANIFEST, "{}\n")
        costs = measured(folder, args, taxonomy)
    table = Table("stage", "seconds", "peak MiB", "largest child MiB", title=f"{args.predictions:,} predictions")
    for stage, cost in costs.items():
        table.add_row(stage, f"{cost.seconds:.1f}", f"{cost.own:.0f}", f"{cost.children:.0f}")
    table.add_row("together", f"{sum(cost.seconds for cost in costs.values()):.1f}", "", "")
    Console().print(table)


if __name__ == "__main__":
    config.run(main)
