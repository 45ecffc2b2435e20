"""Takes a third party's predictions (CSV or JSON lines) into a predictions folder that eval/score.py scores like ours.

python eval/import_predictions.py --table theirs.csv --cases runs/demo/cases --split test --model theirs \
    --output runs/demo/predictions/theirs

Columns: case_id, and one of: text (the raw answer), diagnosis [, probability], differential ("a; b" or JSON pairs).
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skinr1 import config
from skinr1.cases import Case, read_cases
from skinr1.errors import UserError
from skinr1.external import COLUMNS, Reader, read_table, stated_probabilities
from skinr1.predictions import PREDICTIONS, prediction_row
from skinr1.scale import case_files
from skinr1.serving.client import Completion
from skinr1.stage import REJECTED, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.labels import LabelMap


@dataclass
class Arguments:
    """Whose answers, to which cases. Every case of the split is in the denominator, answered or not."""

    table: Path = field(metadata={"help": "CSV with a header, or JSON lines."})
    cases: Path = field(metadata={"help": "Cases folder."})
    output: Path = field(metadata={"help": "Folder that receives predictions.jsonl, rejected.jsonl and manifest.json."})
    model: str = field(metadata={"help": "Name of the model or reader whose answers these are."})
    split: Literal["train", "validation", "test", "all"] = field(default="test", metadata={"help": "Split, or all."})
    label_map: str | None = field(default=None, metadata={"help": "Shipped map, or YAML: their labels -> nodes."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


@dataclass
class Taken:
    """Answers by case id, and what must be told about the table."""

    answers: dict[str, Completion]
    foreign: list[dict[str, Any]]
    unread: list[str]
    calibrated: int


def labelled_cases(args: Arguments) -> list[Case]:
    """Labelled cases of the split, by id. Raises UserError when there is none."""
    found = (case for case in read_cases(args.cases) if args.split in ("all", case.split) and case.diagnoses)
    cases = sorted(found, key=lambda case: case.case_id)
    if not cases:
        raise UserError(f"no labelled case in split {args.split!r}", str(args.cases), "Choose another --split.")
    return cases


def take(args: Arguments, cases: list[Case], reader: Reader) -> Taken:
    """Reads the table. Raises UserError for a case that is answered twice or a row that says nothing."""
    known, unread = {case.case_id for case in cases}, set[str]()
    taken = Taken({}, [], [], 0)
    for row, where in read_table(args.table):
        unread |= row.keys() - set(COLUMNS)
        case_id = str(row["case_id"])
        if case_id in taken.answers:
            raise UserError("case is answered twice", f"{where}: {case_id}", "Keep one answer a case.")
        if case_id not in known:
            taken.foreign.append({"case_id": case_id, "reason": "no such case in the split", "done": "left out"})
            continue
        taken.answers[case_id] = Completion(reader.text(row, where), str(row.get("finish_reason") or ""))
        taken.calibrated += stated_probabilities(row, where)
    taken.unread = sorted(map(str, unread))
    if not taken.answers:
        raise UserError("no row answers a case of the split", str(args.table), "Check case_id, --cases and --split.")
    return taken


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "import_predictions")
    taxonomy = Taxonomy.load(args.taxonomy)
    cases = labelled_cases(args)
    reader = Reader(taxonomy, LabelMap.load(args.label_map, taxonomy) if args.label_map else None)
    taken = take(args, cases, reader)
    silent = [case.case_id for case in cases if case.case_id not in taken.answers]
    listed = [
        *reader.notes,
        *({"case_id": case_id, "reason": "not answered", "done": "counts as wrong"} for case_id in silent),
        *taken.foreign,
    ]
    rows = (prediction_row(case, taken.answers.get(case.case_id, Completion("", "")), taxonomy) for case in cases)
    write_jsonl(args.output / PREDICTIONS, rows)
    write_jsonl(args.output / REJECTED, listed)
    counts = Counter(str(row["reason"]) for row in listed)
    notes = [f"columns that were not read: {', '.join(taken.unread)}"] if taken.unread else []
    if taken.calibrated < len(taken.answers):
        notes.append(
            f"{len(taken.answers) - taken.calibrated} answers came without probabilities: calibration says nothing"
        )
    write_manifest(
        args.output,
        "import_predictions",
        config={"model": args.model, "split": args.split, "label_map": args.label_map},
        inputs=[args.table, *case_files(args.cases)],
        counts={"cases": len(cases), "answered": len(taken.answers), **dict(sorted(counts.items()))},
        taxonomy_hash=taxonomy.hash,
        notes=notes,
    )
    print(f"{len(taken.answers)} of {len(cases)} cases answered by {args.model}: {args.output / PREDICTIONS}")
    for reason, count in sorted(counts.items()):
        print(f"{reason}: {count}")
    for note in notes:
        print(note)
    labels = sorted({str(row["label"]) for row in reader.notes if row["reason"] == "unknown label"})
    if labels:
        print(f"unknown labels, all in {args.output / REJECTED}: {'; '.join(labels[:10])}")


if __name__ == "__main__":
    config.run(main)
