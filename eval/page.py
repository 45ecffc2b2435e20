"""One self-contained HTML page of a run: table, differences, curves, groups, gallery of reports.

python eval/page.py --run runs/demo --models base sft grpo --stages base sft grpo
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1 import config
from skinr1.errors import UserError
from skinr1.metrics import read_outcomes
from skinr1.page import Run, render
from skinr1.page.curves import stage_curves
from skinr1.stage import write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

PAGE = "index.html"


@dataclass
class Arguments:
    """What the page is about. Folders not given lie in the run folder."""

    run: Path = field(metadata={"help": "Run folder, e.g. runs/demo."})
    models: list[str] = field(
        default_factory=lambda: ["base", "sft", "grpo"],
        metadata={"help": "Names below predictions and scores, in the order of the table's rows."},
    )
    stages: list[str] = field(
        default_factory=lambda: ["base", "sft", "grpo"],
        metadata={"help": "Folders with metrics.jsonl, below the run folder (or anywhere, as full paths)."},
    )
    predictions: Path | None = field(default=None, metadata={"help": "Holds one predictions folder a model."})
    scores: Path | None = field(default=None, metadata={"help": "Holds one scores folder a model."})
    cases: Path | None = field(default=None, metadata={"help": "Cases folder: relative image paths start there."})
    output: Path | None = field(default=None, metadata={"help": "Folder that receives index.html."})
    gallery: int = field(default=24, metadata={"help": "Cases shown with every model's report."})
    title: str = field(default="skinr1: one run", metadata={"help": "Heading of the page."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of a scores folder. Raises UserError when eval/score.py did not finish there."""
    path = folder / "scores.json"
    if not path.is_file():
        raise UserError("no scores", str(folder), "Run eval/score.py on that model's predictions first.")
    return json.loads(path.read_text(encoding="utf-8"))


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "page")
    if not args.models:
        raise UserError("no model to show", "--models", "Name at least one folder below predictions.")
    taxonomy = Taxonomy.load(args.taxonomy)
    predictions, scores = args.predictions or args.run / "predictions", args.scores or args.run / "scores"
    cases, output = args.cases or args.run / "cases", args.output or args.run / "page"
    runs = [Run(name, read_scores(scores / name), read_outcomes(predictions / name, taxonomy)) for name in args.models]
    folders = {Path(stage).name: args.run / stage for stage in args.stages}
    curves = {name: stage_curves(name, folder / "metrics.jsonl") for name, folder in folders.items()}
    page, missing = render(
        runs, curves, (cases, *(predictions / name for name in args.models)), taxonomy, args.gallery, args.title
    )
    write_atomic(output / PAGE, page)
    write_manifest(
        output,
        "page",
        config={"models": args.models, "stages": list(curves), "gallery": args.gallery},
        inputs=[scores / name / "scores.json" for name in args.models],
        counts={"models": len(runs), "pictures_missing": missing},
        taxonomy_hash=taxonomy.hash,
    )
    if missing:
        print(f"{missing} picture(s) of the gallery could not be shown: {cases}. Give --cases the cases folder.")
    print(output / PAGE)


if __name__ == "__main__":
    config.run(main)
