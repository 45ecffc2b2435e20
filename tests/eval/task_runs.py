"""Runs of two tasks on the tree of conftest: ranked lists with names that nobody knows, and choices."""

import json
import random
from pathlib import Path
from typing import Any

from skinr1.stage import write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

UNKNOWN = "<b>the plague</b> | x"
CASES = 40


def task(name: str, form: str, *metrics: str) -> dict[str, Any]:
    """What a manifest keeps of a task, as far as scorers read it."""
    return {"name": name, "version": 3, "about": f"About {name}.", "form": form, "options": None, "metrics": metrics}


RANKED = task(
    "ranked",
    "differential",
    "valid_report_rate",
    "top1",
    "top3",
    "hierarchical_f",
    "malignancy_auroc",
    "citation_recall",
)
CHOICE = task("four", "choice", "valid_report_rate", "choice_accuracy", "chance_level", "condition_balanced_accuracy")


def _ranked(number: int, truth: str, right: bool, chance: random.Random, tree: Taxonomy) -> dict[str, Any]:
    """Every eighth list has a name that nobody knows: in turns the first and the second of three."""
    names = [truth if right else chance.choice(tree.leaves), chance.choice(tree.leaves), truth]
    if number % 8 == 0:
        names[number // 8 % 2] = UNKNOWN
    entries = [{"diagnosis": name, "probability": p} for name, p in zip(names, (0.6, 0.3, 0.1), strict=True)]
    return {"form": "differential", "text": json.dumps({"differential": entries})}


def _choice(number: int, truth: str, right: bool, chance: random.Random, tree: Taxonomy) -> dict[str, Any]:
    place = tree.leaves.index(truth) if right else chance.randrange(len(tree.leaves))
    answer = json.dumps({"choice": place + 1}) if number % 10 else "the first"
    return {"form": "choice", "options": [[node] for node in tree.leaves], "text": answer}


def write_task_run(folder: Path, asked: dict[str, Any], skill: float, tree: Taxonomy) -> Path:
    """Answers that are right with probability ``skill``."""
    chance, rows = random.Random(f"{skill}"), []
    make = _ranked if asked["form"] == "differential" else _choice
    for number in range(CASES):
        truth = tree.leaves[number % len(tree.leaves)]
        case = {"case_id": f"case-{number:03}", "patient_id": f"patient-{number // 2:03}", "source": "rendered"}
        case |= {"diagnoses": [truth], "condition": tree.bucket(truth)}
        rows.append(case | make(number, truth, chance.random() < skill, chance, tree))
    write_jsonl(folder / "predictions.jsonl", rows)
    write_manifest(folder, "predict", config={"task": asked})
    return folder
