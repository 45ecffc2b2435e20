"""Cases as a benchmark for another harness: an lmms-eval task, PanDerm's CSV, or multiple choice as in DermoBench.

python eval/export_benchmark.py --cases runs/demo/cases --format lmms_eval --output runs/export/lmms_eval
"""

from dataclasses import dataclass, field
from pathlib import Path

from skinr1 import config
from skinr1.cases import read_cases
from skinr1.errors import UserError
from skinr1.export.benchmark import BENCHMARKS, Source
from skinr1.licences import TERMS, roll_up
from skinr1.scale import case_files
from skinr1.stage import MANIFEST, read_manifest, write_manifest
from skinr1.taxonomy import Taxonomy


@dataclass
class Arguments:
    """Which cases, in which form. Pictures are copied: mind their licences."""

    cases: Path = field(metadata={"help": "Cases folder."})
    output: Path = field(metadata={"help": "Folder to write."})
    format: str = field(default="lmms_eval", metadata={"help": f"One of {', '.join(BENCHMARKS)}."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "export_benchmark")
    if args.format not in BENCHMARKS:
        raise UserError("unknown format", repr(args.format), f"Use one of {', '.join(BENCHMARKS)}.")
    if (args.output / MANIFEST).is_file() and read_manifest(args.output)["config"] != {"format": args.format}:
        raise UserError("folder holds something else", str(args.output), "Give a new folder.")
    taxonomy = Taxonomy.load(args.taxonomy)
    everything = list(read_cases(args.cases))
    cases = sorted((case for case in everything if case.diagnoses), key=lambda case: case.case_id)
    if not any(case.split == "test" for case in cases):
        raise UserError("no labelled case in the test split", str(args.cases), "Split the cases first.")
    counts = BENCHMARKS[args.format](Source(args.cases, cases, taxonomy), args.output)
    licences = roll_up(cases)
    kept = sorted(name for name in licences if name not in TERMS or not TERMS[name].redistribution)
    write_manifest(
        args.output,
        "export_benchmark",
        config={"format": args.format},
        inputs=case_files(args.cases),
        counts={**counts, "without a label": len(everything) - len(cases)},
        licences=licences,
        taxonomy_hash=taxonomy.hash,
        notes=[f"pictures that may not be passed on: {', '.join(kept)}"] if kept else [],
    )
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"{args.format}: {told}; {len(everything) - len(cases)} cases without a label left out\n{args.output}")
    if kept:
        print(f"pictures that may not be passed on: {', '.join(kept)}")


if __name__ == "__main__":
    config.run(main)
