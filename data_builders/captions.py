"""Captions stage: label-free captions of images, and the textbook and the tree as text -> train.jsonl.

    python -m data_builders.captions --config recipes/<model>/captions.yaml

It teaches a base model to see signs and to know the language; no row links an image to a diagnosis.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.progress import track

from data_builders.closing import close, load_taxonomy
from skinr1.cases import Case, Role, training_cases
from skinr1.concepts import concepts
from skinr1.config import parse, run
from skinr1.knowledge import Knowledge
from skinr1.prompts import CAPTION_QUESTION
from skinr1.scale import case_files
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import Findings
from skinr1.trajectories.rows import MissingImage, completed, prompt_row, relative_images


@dataclass
class CaptionsConfig:
    """Caption cases become rows of image and visible signs; passages and paths become rows of text."""

    cases: str = field(default="runs/cases", metadata={"help": "Folder of the cases stage."})
    knowledge: str = field(default="runs/knowledge", metadata={"help": "Folder of the knowledge stage."})
    output: str = field(default="runs/captions", metadata={"help": "Folder to write."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})
    text_repeats: int = field(default=1, metadata={"help": "How often each text-only row occurs; 0 leaves them out."})
    seed: int = field(default=0, metadata={"help": "Of what is drawn at random."})


class Leak(ValueError):
    """A caption would name a diagnosis."""


def build(config: CaptionsConfig, progress: bool = True) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: an input is missing, or no row is left.
    """
    folder, output = Path(config.cases), Path(config.output)
    taxonomy = load_taxonomy(config.taxonomy)
    knowledge = Knowledge.load(Path(config.knowledge))
    cases = [case for case in training_cases(folder) if case.role is Role.CAPTION and case.split in (None, "train")]
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for case in track(cases, "captions: cases", disable=not progress):
        try:
            text = caption(case, taxonomy)
            rows.append(completed(prompt_row(CAPTION_QUESTION, relative_images(case, folder, output), None), text))
        except (Leak, MissingImage) as error:
            rejected.append({"case_id": case.case_id, "reason": str(error)})
    language = [row for row in text_rows(knowledge, taxonomy) for _ in range(config.text_repeats)]
    return close(
        "captions",
        config,
        rows={"train": [*rows, *language]},
        rejected=rejected,
        cases=cases,
        inputs=[*case_files(folder), Path(config.knowledge) / "passages.jsonl"],
        taxonomy=taxonomy,
        counts={"images": len(rows), "text": len(language)},
    )


def caption(case: Case, taxonomy: Taxonomy) -> str:
    """The visible signs in vocabulary order, e.g. ``Visible: papule, brown colour, sharp border.``

    Raises:
        Leak: no sign is visible, or the words would name a diagnosis.
    """
    seen = Findings.of(case).seen
    if not seen:
        raise Leak("no visible sign is annotated")
    text = f"Visible: {', '.join(seen)}."
    named = _diagnoses(taxonomy).search(text.lower())
    if named:
        raise Leak(f"caption names a diagnosis: {named.group(0)}")
    return text


@lru_cache(maxsize=4)
def _diagnoses(taxonomy: Taxonomy) -> re.Pattern[str]:
    """Every name and alias of the tree that is not itself a sign's name; "milia-like" names no milia."""
    names = {text.lower() for node in taxonomy.nodes.values() for text in (node.name, *node.aliases)} - set(concepts())
    return re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names, key=lambda n: (-len(n), n)))) + r")\b(?!-)")


def text_rows(knowledge: Knowledge, taxonomy: Taxonomy) -> Iterator[dict[str, Any]]:
    """Rows without an image: each passage under its id; the path of each diagnosis the book treats or compares."""
    for passage in knowledge.passages.values():
        yield completed(prompt_row(f"Recite {passage.id}.", [], None), passage.text)
    treated = {node for passage in knowledge.passages.values() for node in passage.diagnoses}
    for node in map(taxonomy.node, sorted(treated | {edge.rival for edge in knowledge.edges})):
        yield completed(prompt_row(f"Path of {node.name}.", [], None), node.id)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(CaptionsConfig, argv, prog="data_builders.captions")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
