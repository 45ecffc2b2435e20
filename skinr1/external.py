"""Answers that were not written by one of our models, put into the one contract, so that one scorer serves all."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, Answer, DifferentialEntry, Report, render
from skinr1.stage import read_jsonl
from skinr1.taxonomy import Bucket, Taxonomy
from skinr1.taxonomy.labels import LabelMap

LONGEST = 5  # entries that a report's differential holds
COLUMNS = ("case_id", "diagnosis", "probability", "differential", "text", "finish_reason")
UNKNOWN, SHARED, SURPLUS, TIED = "unknown label", "several nodes", "beyond rank 5", "no probabilities"


def answer_text(ranked: Sequence[tuple[str, float]], taxonomy: Taxonomy, thinking: str) -> str:
    """A valid answer with these nodes as its differential, most probable first; its condition is the first's bucket.

    Probabilities are cut to two decimals, never rounded up, so that they cannot add up to more than 1.
    """
    entries = tuple(
        DifferentialEntry(
            diagnosis=node,
            probability=math.floor(probability * 100 + 1e-9) / 100,
            evidence_for=(),
            evidence_against=(),
        )
        for node, probability in ranked[:LONGEST]
    )
    first = entries[0].diagnosis
    report = Report(
        schema_version=SCHEMA_VERSION,
        findings=(),
        diagnosis=first,
        condition=taxonomy.bucket(first) or Bucket.INDETERMINATE,  # of a group whose members differ
        differential=entries,
        confidence="low",
        advice="routine_visit",
        citations=(),
        disclaimer=DISCLAIMER,
    )
    return render(Answer(thinking, report))


@dataclass
class Reader:
    """Rows of a third party's file -> raw answers, and a note of everything that could not be taken as it stands.

    Attributes:
        notes: one row for each label or rank that was not taken as written: case, label, reason, what was done.
    """

    taxonomy: Taxonomy
    labels: LabelMap | None = None
    notes: list[dict[str, Any]] = field(default_factory=list)

    def text(self, row: Mapping[str, Any], where: str) -> str:
        """The answer of a row: its own text, or a report of its diagnosis or differential.

        An unknown first label leaves the label itself as the text, which is no valid answer and counts as wrong. A
        differential ends before an unknown label: leaving it out would lift what stands behind it.

        Raises:
            UserError: the row says nothing, or a probability is none.
        """
        if str(row.get("text") or ""):
            return str(row["text"])
        given = _ranked(row, where)
        if not given:
            raise UserError("neither text nor diagnosis nor differential", where, f"Columns: {', '.join(COLUMNS)}.")
        case_id = str(row["case_id"])
        ranked: list[tuple[str, float]] = []
        for label, probability in given:
            node = self._node(case_id, label)
            if node is None:
                break
            if node not in (known for known, _ in ranked):
                ranked.append((node, probability))
        if not ranked:
            return given[0][0]
        for node, _ in ranked[LONGEST:]:
            self._note(case_id, node, SURPLUS, "a report ranks 5")
        return answer_text(ranked, self.taxonomy, "Imported: no reasoning was given.")

    def _node(self, case_id: str, label: str) -> str | None:
        """The node of a label; the common group of several; None, noted, where there is none."""
        known = self.labels.entries.get(label) if self.labels else None
        found = sorted(known.nodes if known else self.taxonomy.labelled(label))
        node: str | None = found[0] if found else None
        for other in found[1:]:
            node = self.taxonomy.lca(node, other) if node else None
        if node is None:
            near = ", ".join(candidate.label for candidate in self.taxonomy.candidates(label, 3))
            self._note(case_id, label, UNKNOWN, f"counts as wrong; nearest names: {near or 'none'}")
        elif len(found) > 1:
            self._note(case_id, label, SHARED, f"read as their common group {node}")
        return node

    def _note(self, case_id: str, label: str, reason: str, done: str) -> None:
        self.notes.append({"case_id": case_id, "label": label, "reason": reason, "done": done})


def read_table(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows of a CSV (by its header) or a JSON-lines file, each with the place it stands at.

    Raises:
        UserError: the file is missing, not UTF-8, or has no column ``case_id``.
    """
    if not path.is_file():
        raise UserError("file not found", str(path), "Give a CSV or JSON-lines file.")
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        rows: Iterator[dict[str, Any]] = read_jsonl(path)
    else:
        rows = _csv(path)
    for number, row in enumerate(rows, 1):
        if row.get("case_id") in (None, ""):
            raise UserError("no case_id", f"{path}, row {number}", f"Columns: {', '.join(COLUMNS)}.")
        yield row, f"{path}, row {number}"


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            yield from csv.DictReader(handle)
    except UnicodeDecodeError:
        raise UserError("not UTF-8", str(path), "Save the table as UTF-8.") from None


def _ranked(row: Mapping[str, Any], where: str) -> list[tuple[str, float]]:
    """Labels, most probable first, with probabilities; without any, in proportion to 1 / rank."""
    listed = row.get("differential") or []
    if isinstance(listed, str):
        listed = _parsed(listed, where)
    pairs = [(str(item[0]), item[1]) if isinstance(item, list | tuple) else (str(item), None) for item in listed]
    single = str(row.get("diagnosis") or "").strip()
    if single and (not pairs or pairs[0][0] != single):
        probability = row.get("probability")
        own = None if probability in (None, "") else probability
        pairs = [(single, own), *(pair for pair in pairs if pair[0] != single)]
    numbers = [_probability(number, where) for _, number in pairs]
    stated = [number for number in numbers if number is not None]
    if len(stated) == len(numbers):
        if stated != sorted(stated, reverse=True) or sum(stated) > 1.005:
            raise UserError("probabilities are not falling, or add up to more than 1", where, "Rank and scale them.")
        return [(label.strip(), number) for (label, _), number in zip(pairs, stated, strict=True)]
    whole = sum(1 / rank for rank in range(1, len(pairs) + 1))
    return [(label.strip(), 1 / rank / whole) for rank, (label, _) in enumerate(pairs, 1)]


def _parsed(text: str, where: str) -> list[Any]:
    """``a; b; c`` or a JSON list."""
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(";") if part.strip()]
    try:
        return list(json.loads(text))
    except json.JSONDecodeError:
        raise UserError("differential is no JSON list", where, 'Write `a; b` or [["a", 0.7], ["b", 0.2]].') from None


def _probability(value: Any, where: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise UserError("probability is not in 0 to 1", f"{where}: {value!r}", "Correct it.")
    return number


def stated_probabilities(row: Mapping[str, Any], where: str) -> bool:
    """Whether a row gives probabilities of its own, so that calibration says something about it."""
    if row.get("text") or row.get("probability") not in (None, ""):
        return True
    listed = row.get("differential") or []
    listed = _parsed(listed, where) if isinstance(listed, str) else listed
    return bool(listed) and all(isinstance(item, list | tuple) for item in listed)
