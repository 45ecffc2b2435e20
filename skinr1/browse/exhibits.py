"""A case as the gallery shows it: its pictures, its facts, its trajectories step by step, and what was rejected."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.cases import CASES_FILE, Case
from skinr1.datacard.tally import NO_SPLIT, UNLABELLED, tone_of
from skinr1.errors import UserError
from skinr1.page.environment import node_name, node_path
from skinr1.page.pictures import data_address
from skinr1.report import InvalidAnswer, Report, parse
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.model import type_of
from skinr1.trajectories.steps import CITATION

PICTURE = 240  # pixels of the longer side


@dataclass(frozen=True)
class Sentence:
    """One step: its text in pieces, of which the odd ones are ids of cited passages, and the passages it rests on."""

    pieces: tuple[str, ...]
    type: str
    source: str
    saw_answer: bool
    wording: str
    passages: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One trajectory. ``report`` is None where the row holds none that is valid, and ``problem`` says why."""

    kind: str
    steps: tuple[Sentence, ...]
    report: Report | None
    problem: str
    diagnosis: str
    path: str
    rivals: tuple[str, ...]

    @property
    def passages(self) -> tuple[str, ...]:
        cited = self.report.citations if self.report else ()
        return tuple(dict.fromkeys([*(name for step in self.steps for name in step.passages), *cited]))


@dataclass(frozen=True)
class Rejected:
    """Something that was not made, and why; ``sentences`` are those that nothing supports, each with its reason."""

    what: str
    reason: str
    sentences: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Exhibit:
    """One case. ``pictures`` holds None for a file that cannot be shown."""

    case: Case
    name: str
    paths: tuple[str, ...]
    conditions: str
    tone: str
    split: str
    pictures: tuple[str | None, ...]
    trajectories: tuple[Shown, ...]
    rejected: tuple[Rejected, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(shown.kind for shown in self.trajectories))

    @property
    def facets(self) -> dict[str, Any]:
        """What the filter goes by."""
        return {"diagnosis": self.name, "tone": self.tone, "split": self.split, "kinds": list(self.kinds)}


def exhibit(
    case: Case,
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    rejected: Sequence[Mapping[str, Any]],
    taxonomy: Taxonomy,
) -> Exhibit:
    """One case with what was made of it.

    Args:
        folder: of the cases; image paths are relative to it.
        rows: its rows of the trajectories stage's training files.
        rejected: its rows of rejected.jsonl.

    Raises:
        UserError: a row is no row of that stage, or the case names a diagnosis that the tree does not have.
    """
    files = [picture_file(image, folder) for image in case.images]
    return Exhibit(
        case=case,
        name=label_name(case, taxonomy),
        paths=tuple(node_path(node, taxonomy) for node in case.diagnoses),
        conditions=" or ".join(sorted({str(taxonomy.bucket(node) or "mixed risk") for node in case.diagnoses})),
        tone=tone_of(case.skin_tone),
        split=case.split or NO_SPLIT,
        pictures=tuple(data_address(file, PICTURE) if file else None for file in files),
        trajectories=tuple(_shown(row, taxonomy) for row in rows),
        rejected=tuple(map(rejected_of, rejected)),
    )


def label_name(case: Case, taxonomy: Taxonomy) -> str:
    return node_name(" | ".join(case.diagnoses), taxonomy) if case.diagnoses else UNLABELLED


def picture_file(image: str, folder: Path) -> Path | None:
    """The picture's file: below the folder, or, as the splits stage names it, below another folder of cases.

    A row may point nowhere else, since a page is for sharing.
    """
    path = (folder / image).resolve()
    homes = [folder.resolve(), *(parent for parent in path.parents if (parent / CASES_FILE).is_file())]
    return path if path.is_file() and any(path.is_relative_to(home) for home in homes) else None


def rejected_of(row: Mapping[str, Any]) -> Rejected:
    """A row of any stage's rejected.jsonl."""
    what = str(row.get("kind") or row.get("where") or row.get("case_id") or "a row")
    faults = tuple((str(fault["sentence"]), str(fault["why"])) for fault in row.get("sentences", ()))
    return Rejected(what, str(row.get("reason", "no reason given")), faults)


def _shown(row: Mapping[str, Any], taxonomy: Taxonomy) -> Shown:
    try:
        kind, answer = str(row["kind"]), row["completion"][0]["content"][0]["text"]
        made = tuple(map(_sentence, json.loads(row["provenance"])))
    except (KeyError, IndexError, TypeError, ValueError):
        raise UserError("not a row of trajectories", f"case {row.get('case_id')}", "Run that stage again.") from None
    report, problem = _report(answer, taxonomy)
    named = report.diagnosis if report else None
    return Shown(
        kind=kind,
        steps=made,
        report=report,
        problem=problem,
        diagnosis=taxonomy.node(named).name if named else "no diagnosis",
        path=node_path(named, taxonomy) if named else "",
        rivals=tuple(taxonomy.node(entry.diagnosis).name for entry in report.differential) if report else (),
    )


def _report(answer: str, taxonomy: Taxonomy) -> tuple[Report | None, str]:
    try:
        return parse(answer, taxonomy).report, ""
    except InvalidAnswer as error:
        return None, str(error)


def _sentence(step: Mapping[str, Any]) -> Sentence:
    pieces = tuple(re.split(CITATION, step["text"]))
    claimed = [claim["passage"] for claim in step.get("claims", ()) if claim.get("passage")]
    source = [step["source"]] if ":" in step["source"] else []  # a passage's id; other sources are single words
    return Sentence(
        pieces=pieces,
        type=type_of(step["kind"]),
        source=step["source"],
        saw_answer=bool(step["saw_answer"]),
        wording=str(step.get("wording", "template")),
        passages=tuple(dict.fromkeys([*pieces[1::2], *source, *claimed])),
    )
