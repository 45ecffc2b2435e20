"""Scores saved predictions, offline: ``scores.json`` with patient-resampled intervals, and a table.

python eval/score.py --predictions runs/demo/predictions/grpo --output runs/demo/scores/grpo \
    --baseline runs/demo/predictions/sft
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from skinr1 import config
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.metrics import (
    check_one_task,
    columns_of,
    fairness_table,
    forms,
    ita,
    metrics_table,
    rationale,
    read_columns,
    read_outcomes,
    score,
    summary_table,
    tone_table,
)
from skinr1.metrics.meanings import not_computed, unknown_names
from skinr1.metrics.outcomes import PREDICTIONS
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.metrics.task import Against, form_metrics, of_task
from skinr1.progress import progress_bar
from skinr1.stage import read_jsonl, read_manifest, write_atomic, write_manifest
from skinr1.taxonomy import Taxonomy

SCORES = "scores.json"


@dataclass
class Arguments:
    """What is scored."""

    predictions: Path = field(metadata={"help": "Folder with predictions.jsonl and its manifest.json."})
    output: Path = field(metadata={"help": "Folder that receives scores.json."})
    baseline: Path | None = field(default=None, metadata={"help": "Predictions folder of another run, same cases."})
    validation: Path | None = field(
        default=None,
        metadata={"help": "Predictions of the same model on other cases: fits temperature, conformal sets."},
    )
    cases: Path | None = field(
        default=None, metadata={"help": "Cases folder; with --knowledge the reasoning is checked against both."}
    )
    knowledge: Path | None = field(default=None, metadata={"help": "Knowledge folder, see --cases."})
    images: Path | None = field(
        default=None, metadata={"help": "Cases folder with its pictures: estimates skin tone from their pixels."}
    )
    resamples: int = field(default=RESAMPLES, metadata={"help": "Bootstrap resamples of patients."})
    seed: int = field(default=SEED, metadata={"help": "Seed of the resampling."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})


def tone_from_pixels(args: Arguments) -> dict[str, Any] | None:
    """Skin tone by the estimators from the first picture of each case; None unless pictures are given.

    Raises:
        UserError: none of the pictures can be read.
    """
    if args.images is None:
        return None
    names = sorted({str(row.get("image", "")) for row in read_jsonl(args.predictions / PREDICTIONS)})
    found, faults = [], []
    with progress_bar() as progress:
        for name in progress.track(names, description="tone from pixels"):
            try:
                found.append(ita.estimates(load_image(args.images / name)))
            except UserError as error:
                faults.append(error)
    if not found:
        raise faults[0]
    if faults:
        print(f"{len(faults)} picture(s) not read for skin tone, the first: {faults[0]}", file=sys.stderr)
    return ita.summary(found, len(faults))


def write_scores(args: Arguments) -> dict[str, Any]:
    """Scores the predictions, writes the folder and returns the scores. Raises UserError for runs of several tasks."""
    taxonomy = Taxonomy.load(args.taxonomy)
    folders = [folder for folder in (args.predictions, args.baseline, args.validation) if folder]
    check_one_task(folders)
    baseline = (args.baseline.name, read_columns(args.baseline, taxonomy)) if args.baseline else None
    validation = read_columns(args.validation, taxonomy) if args.validation else None
    manifest = read_manifest(args.predictions)
    task = manifest["config"].get("task")
    against = Against.of(args.cases, args.knowledge)
    if task or against:
        outcomes = read_outcomes(args.predictions, taxonomy)
        columns = columns_of(outcomes, taxonomy)
    else:  # nothing is computed from whole answers: they need not be held
        outcomes, columns = [], read_columns(args.predictions, taxonomy)
    read = against.readings(outcomes, taxonomy) if against else {}
    further = rationale.metrics(read) if read else ()
    if task:
        further = (*further, *form_metrics(manifest, outcomes, taxonomy, against))
    scores = score(columns, taxonomy, baseline, args.resamples, args.seed, validation, further)
    if task:
        scores["task"] = of_task(task, scores["metrics"], forms.unknown(outcomes, taxonomy))
        scores["notes"].append(f"Task {task['name']}: only the metrics listed under `task` are of what was asked.")
    if read:
        sentences = sum(reading.sentences for reading in read.values())
        scores["rationale"] = {"sentences": sentences, "faults": rationale.faults(read)}
    scores["tone_from_pixels"] = tone_from_pixels(args)
    write_atomic(args.output / SCORES, json.dumps(scores, indent=2, ensure_ascii=False) + "\n")
    write_manifest(
        args.output,
        "score",
        config={"resamples": args.resamples, "baseline": baseline[0] if baseline else None},
        inputs=[*(folder / PREDICTIONS for folder in folders), *(against.files if against else ())],
        seed=args.seed,
        counts={"cases": scores["n"], "patients": scores["patients"], "invalid": sum(scores["invalid"].values())},
        taxonomy_hash=taxonomy.hash,
    )
    return scores


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "score")
    scores = write_scores(args)
    console = Console()
    if task := scores.get("task"):
        console.print(f"{task['name']}: {task['about']}", highlight=False)
        console.print(metrics_table({**scores, "metrics": {name: scores["metrics"][name] for name in task["metrics"]}}))
        for sentence in (*unknown_names(task["unknown_names"]), *not_computed(task)):
            console.print(sentence, highlight=False, markup=False)
    else:
        console.print(summary_table({args.predictions.name: scores, "majority": scores["majority_class"]}))
        console.print(metrics_table(scores))
    for attribute in scores["fairness"]:
        if len(attribute["groups"]) > 1:
            console.print(fairness_table(attribute))
    if scores["tone_from_pixels"]:
        console.print(tone_table(scores["tone_from_pixels"]))
    if scores["invalid"]:
        console.print("invalid answers:", ", ".join(f"{reason} {count}" for reason, count in scores["invalid"].items()))
    console.print(f"{args.output / SCORES}", soft_wrap=True)


if __name__ == "__main__":
    config.run(main)
