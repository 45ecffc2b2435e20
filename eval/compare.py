"""Two to eight runs on the same cases, side by side, with paired tests: HTML, Markdown and JSON.

python eval/compare.py --predictions runs/demo/predictions/sft runs/demo/predictions/grpo --output runs/demo/compare
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from skinr1 import config
from skinr1.comparing import PERMUTATIONS, compare
from skinr1.errors import UserError
from skinr1.metrics import check_one_task, read_columns
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.metrics.task import Against, TaskRuns
from skinr1.page.comparison import render_comparison
from skinr1.stage import write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

JSON, PAGE, TEXT = "compare.json", "index.html", "index.md"


@dataclass
class Arguments:
    """Which runs. All must have answered the same questions, with the same truth."""

    predictions: list[Path] = field(metadata={"help": "Two to eight predictions folders; ours or imported ones."})
    output: Path = field(metadata={"help": "Folder that receives compare.json, index.html and index.md."})
    names: list[str] = field(default_factory=list, metadata={"help": "Names of the runs; default: the folders' names."})
    cases: Path | None = field(
        default=None, metadata={"help": "Cases folder; with --knowledge for the metrics of a task that need both."}
    )
    knowledge: Path | None = field(default=None, metadata={"help": "Knowledge folder, see --cases."})
    resamples: int = field(default=RESAMPLES, metadata={"help": "Bootstrap resamples of patients."})
    permutations: int = field(default=PERMUTATIONS, metadata={"help": "Permutations of each test."})
    seed: int = field(default=SEED, metadata={"help": "Seed of resampling and permuting."})
    title: str = field(default="skinr1: runs compared", metadata={"help": "Heading of the page."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def run_names(args: Arguments) -> list[str]:
    """The names of the runs. Raises UserError when they are too few or not distinct."""
    names = args.names or [folder.name for folder in args.predictions]
    if len(names) != len(args.predictions) or len(set(names)) != len(names):
        raise UserError("runs need one name each, all different", ", ".join(names), "Give --names.")
    return names


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "compare")
    taxonomy = Taxonomy.load(args.taxonomy)
    names = run_names(args)
    check_one_task(args.predictions)
    folders = dict(zip(names, args.predictions, strict=True))
    against = Against.of(args.cases, args.knowledge)
    task = TaskRuns.read(folders, taxonomy, against)
    if against and not task:
        raise UserError("the reasoning is compared of a task only", "--cases, --knowledge", "Leave both out.")
    runs = task.columns if task else {name: read_columns(folder, taxonomy) for name, folder in folders.items()}
    found = compare(runs, taxonomy, args.resamples, args.permutations, args.seed, task)
    sources = next(iter(runs.values())).source
    rendered = sum(str(sources.values[code]).startswith("rendered") for code in sources.codes)
    page = render_comparison(found, taxonomy, args.title, rendered)
    write_atomic(args.output / JSON, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write_atomic(args.output / PAGE, page.html)
    write_atomic(args.output / TEXT, page.markdown)
    write_manifest(
        args.output,
        "compare",
        config={"runs": list(runs), "resamples": args.resamples, "permutations": args.permutations},
        inputs=[*(folder / PREDICTIONS for folder in args.predictions), *(against.files if against else ())],
        seed=args.seed,
        counts={"runs": len(runs), "cases": found["n"], "patients": found["patients"], "tests": found["tests"]},
        taxonomy_hash=taxonomy.hash,
    )
    shown = [pair for pair in found["pairs"] if pair["differs"]]
    print(f"{len(shown)} of {found['tests']} tests show a difference (Holm, 5 %)\n{args.output / PAGE}")


if __name__ == "__main__":
    config.run(main)
