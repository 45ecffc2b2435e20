"""One self-contained HTML page of a run, and the same as Markdown: how good, how fair, how sure, and where it fails.

python eval/page.py --run runs/demo --models base sft grpo --stages base sft grpo
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1 import config
from skinr1.errors import UserError
from skinr1.metrics import check_one_task, read_outcomes
from skinr1.page import Material, Run, render
from skinr1.page.curves import stage_curves
from skinr1.stage import write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

PAGE, TEXT = "index.html", "index.md"
CONTROLS, JUDGE = "controls.json", "judge.json"


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
    controls: Path | None = field(
        default=None, metadata={"help": "controls.json of the last model; default: controls/MODEL/ in the run folder."}
    )
    interpret: Path | None = field(default=None, metadata={"help": "Holds one skinr1 interpret folder a model."})
    cases: Path | None = field(default=None, metadata={"help": "Cases folder: relative image paths start there."})
    output: Path | None = field(default=None, metadata={"help": "Folder that receives index.html and index.md."})
    errors: int = field(default=12, metadata={"help": "Worst errors of the last model that are shown."})
    gallery: int = field(default=24, metadata={"help": "Cases shown with every model's report."})
    title: str = field(default="skinr1: one run", metadata={"help": "Heading of the page."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def read_scores(folder: Path) -> dict[str, Any]:
    """The content of a scores folder. Raises UserError when eval/score.py must run (again) first."""
    found = read_json(folder / "scores.json")
    if found is None:
        raise UserError("no scores", str(folder), "Run eval/score.py on that model's predictions first.")
    if found.get("task") and "unknown_names" not in found["task"]:
        raise UserError("scores of a task from before unknown names were counted", str(folder), "Run eval/score.py.")
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is no such file. Raises UserError when it is not JSON."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # neither JSON nor UTF-8
        raise UserError("not JSON", str(path), "Run the script that writes it again.") from None


def interpreted(folder: Path) -> dict[str, Any]:
    """What ``skinr1 interpret`` found, as far as it was asked."""
    found = {name: read_json(folder / f"{name}.json") for name in ("probe", "tcav", "heat")}
    return {name: content for name, content in found.items() if content}


def read_material(args: Arguments, taxonomy: Taxonomy) -> Material:
    """Everything the page is made of. Raises UserError for scores or predictions that are missing, or of two tasks."""
    predictions, scores = args.predictions or args.run / "predictions", args.scores or args.run / "scores"
    interpret, last = args.interpret or args.run / "interpret", args.models[-1]
    places = {name: interpret / name for name in args.models if interpreted(interpret / name)}
    stages = {Path(stage).name: args.run / stage for stage in args.stages}
    if args.controls and not args.controls.is_file():
        raise UserError("file not found", str(args.controls), "Run eval/controls.py, or leave out --controls.")
    check_one_task(predictions / name for name in args.models)
    return Material(
        runs=[
            Run(name, read_scores(scores / name), read_outcomes(predictions / name, taxonomy)) for name in args.models
        ],
        curves={name: stage_curves(name, folder / "metrics.jsonl") for name, folder in stages.items()},
        folders=(args.cases or args.run / "cases", *(predictions / name for name in args.models)),
        controls=read_json(args.controls or args.run / "controls" / last / CONTROLS),
        judge=read_json(args.run / "judge" / last / JUDGE),
        interpreted={name: interpreted(folder) for name, folder in places.items()},
        places=places,
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "page")
    if not args.models:
        raise UserError("no model to show", "--models", "Name at least one folder below predictions.")
    taxonomy = Taxonomy.load(args.taxonomy)
    material = read_material(args, taxonomy)
    page = render(material, taxonomy, args.gallery, args.errors, args.title)
    output, scores = args.output or args.run / "page", args.scores or args.run / "scores"
    write_atomic(output / PAGE, page.html)
    write_atomic(output / TEXT, page.markdown)
    write_manifest(
        output,
        "page",
        config={"models": args.models, "stages": list(material.curves), "gallery": args.gallery, "errors": args.errors},
        inputs=[scores / name / "scores.json" for name in args.models],
        counts={"models": len(material.runs), "pictures_missing": page.missing},
        taxonomy_hash=taxonomy.hash,
    )
    if page.missing:
        print(f"{page.missing} picture(s) could not be shown: {material.folders[0]}. Give --cases the cases folder.")
    print(output / PAGE)


if __name__ == "__main__":
    config.run(main)
