"""A Report as text, in the order a dermatologist reads: what it is, how sure, what else, why, from where, what next."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from skinr1.report import DifferentialEntry, Report
from skinr1.stage import read_jsonl
from skinr1.taxonomy import Taxonomy

WIDTH = 88
ADVICE = {
    "self_care": "self-care",
    "routine_visit": "routine visit to a dermatologist",
    "prompt_visit": "prompt visit to a dermatologist, within weeks",
    "urgent_visit": "urgent visit to a dermatologist, within days",
    "new_image": "take another image",
    "none": "none, signs are only described",
}


def passage_titles(knowledge: Path) -> dict[str, str]:
    """Passage id -> ``Common nevus, morphology (primer, p. 3)`` from a knowledge folder."""

    def title(row: Mapping[str, object]) -> str:
        page = f", p. {row['page']}" if row.get("page") else ""
        return f"{row['section']}, {row['kind']} ({row['source']}{page})"

    return {row["id"]: title(row) for row in read_jsonl(knowledge / "passages.jsonl")}


def render_text(
    report: Report,
    taxonomy: Taxonomy,
    titles: Mapping[str, str] | None = None,
    thinking: str | None = None,
    *,
    red_flags: Sequence[str] = (),
    limitations: Sequence[str] = (),
) -> str:
    """The report as plain text of at most 88 columns.

    Args:
        titles: passage id -> title; ids stand for themselves without it.
        thinking: the model's reasoning, appended when given.
        red_flags: a sentence each; they stand first.
        limitations: of the images, a sentence each.
    """
    titles = titles or {}
    warned = [("Red flags", red_flags), ("Images", limitations)]
    nodes = taxonomy.path(report.diagnosis) if report.diagnosis else ()
    path = " > ".join(taxonomy.node(node).name for node in nodes) or "none: the report declines"
    lines = [
        *(line for name, told in warned if told for line in (name, *(_wrap(one, "  - ", "    ") for one in told), "")),
        _field("Diagnosis", path),
        _field("Condition", (report.condition or "not judged").replace("_", "-")),
        _field("Confidence", report.confidence),
        _field("Advice", ADVICE[report.advice]),
        "",
        _field("Findings", ", ".join(report.findings) or "none"),
        "",
        "Differential",
        *(line for entry in report.differential for line in _rival(entry, taxonomy)),
        "",
        "Citations",
        *([_wrap(f"{titles[i]} [{i}]" if i in titles else i, "  - ", "    ") for i in report.citations] or ["  none"]),
    ]
    if thinking is not None:
        lines += ["", "Reasoning", *(_wrap(part, "  ", "  ") for part in thinking.strip().splitlines() if part.strip())]
    return "\n".join([*lines, "", report.disclaimer])


def _rival(entry: DifferentialEntry, taxonomy: Taxonomy) -> list[str]:
    lines = [f"{round(entry.probability * 100):>5} %  {taxonomy.node(entry.diagnosis).name}"]
    for word, signs in (("for", entry.evidence_for), ("against", entry.evidence_against)):
        if signs:
            lines.append(_wrap(", ".join(signs), f"         {word + ':':9}", " " * 18))
    return lines


def _field(name: str, value: str) -> str:
    return _wrap(value, f"{name + ':':13}", " " * 13)


def _wrap(text: str, first: str, rest: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
