"""Rows of training files in TRL's conversational columns."""

import os
from pathlib import Path
from typing import Any

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.report import render
from skinr1.stage import canonical_json
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.model import Trajectory
from skinr1.trajectories.reading import sentences


class MissingImage(ValueError):
    """A case names an image that is not there."""


def prompt_row(text: str, images: list[str], system: str | None = prompts.SYSTEM) -> dict[str, Any]:
    """``prompt`` with one placeholder an image, and ``images``."""
    return {"prompt": prompts.messages(text, len(images), system), "images": images}


def completed(row: dict[str, Any], text: str) -> dict[str, Any]:
    """The row with the text as the assistant's ``completion``."""
    return {**row, "completion": [{"role": "assistant", "content": [{"type": "text", "text": text}]}]}


def relative_images(case: Case, cases: Path, output: Path) -> list[str]:
    """The case's images, relative to the folder of the file that will name them.

    Raises:
        MissingImage: a file does not exist.
    """
    found = []
    for name in case.images:
        if not (cases / name).is_file():
            raise MissingImage(f"image does not exist: {name}")
        found.append(Path(os.path.relpath(cases / name, output)).as_posix())
    return found


def trajectory_row(trajectory: Trajectory, case: Case, images: list[str]) -> dict[str, Any]:
    """One SFT row; ``provenance`` is the list of steps as a JSON string, one type in every row."""
    asked = prompts.description_question if trajectory.kind == "description" else prompts.question
    return {
        **completed(prompt_row(asked(case), images), render(trajectory.answer)),
        "kind": trajectory.kind,
        "case_id": case.case_id,
        "provenance": canonical_json([step.provenance() for step in trajectory.steps]),
    }


def sentence_rows(trajectory: Trajectory, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Every sentence with its place in the reasoning, its type and the passages it cites."""
    return [
        {
            "start": sentence.start,
            "end": sentence.end,
            "type": sentence.type,
            "passages": [passage for clause in sentence.clauses for passage in clause.passages],
        }
        for sentence in sentences(trajectory.text, taxonomy)
    ]
