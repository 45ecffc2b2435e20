"""The card itself: one mapping for programs, and from it a page and a text for people."""

from collections.abc import Mapping
from typing import Any

from skinr1.datacard.gaps import Subject, gaps
from skinr1.datacard.reasoning import Reasoning
from skinr1.datacard.tally import UNLABELLED, bands, splits
from skinr1.licences import TERMS, commercial

Counts = Mapping[tuple[str, str], int] | Mapping[tuple[str, ...], int]
_VERDICT = {True: "yes", False: "no", None: "not established"}


def card(
    subject: Subject, manifest: Mapping[str, Any], rejected: Mapping[str, int], reasoning: Reasoning | None = None
) -> dict[str, Any]:
    """Everything the card says, as plain data; ``counts`` holds diagnosis × tone × source × licence × split.

    Args:
        manifest: of the stage that the cases are from.
        rejected: reason -> rows of that stage that gave nothing.
        reasoning: what was made of the cases, where the stage is that of trajectories.
    """
    tally = subject.tally
    labels = tally.labels
    found = reasoning.gaps(subject) if reasoning else []
    return {
        "card": 1,
        "title": f"Data card: {', '.join(tally.one('source')) or 'no case'}",
        "build": {key: manifest.get(key) for key in ("stage", "skinr1", "seed", "taxonomy", "notes")},
        "totals": {
            "cases": tally.cases,
            "images": tally.images,
            "patients": tally.patients,
            "diagnoses": len(labels),
            "rejected": sum(rejected.values()),
        },
        "few": subject.few,
        "gaps": [gap.row() for gap in [*found, *gaps(subject)]],
        "trajectories": reasoning.row(subject) if reasoning else None,
        "columns": {"tones": bands(tally), "splits": splits(tally)},
        "splits": tally.one("split"),
        "tones": tally.one("tone"),
        "tone_origins": _joined(tally.tone_origins),
        "roles": dict(sorted(tally.roles.items())),
        "modalities": dict(sorted(tally.modalities.items())),
        "ages": {
            str(first): {split: n for (low, split), n in sorted(tally.ages.items()) if low == first}
            for first in sorted({first for first, _ in tally.ages})
        },
        "missing": _nested(tally.missing),  # field -> source -> cases
        "diagnoses": _diagnoses(subject),
        "sources": _sources(subject),
        "licences": _licences(subject),
        "counts": [{**cell._asdict(), "cases": count} for cell, count in sorted(tally.cells.items())],
        "rejected": dict(sorted(rejected.items())),
    }


def _diagnoses(subject: Subject) -> list[dict[str, Any]]:
    tally = subject.tally
    counts = tally.one("label")
    parts = {key: _nested(tally.by("label", key)) for key in ("split", "band", "source", "licence")}
    rows = []
    for label in sorted(counts, key=lambda label: (label == UNLABELLED, -counts[label], label)):
        labelled = label != UNLABELLED
        rows.append(
            {
                "label": label,
                "name": subject.name(label) if labelled else label,
                "conditions": sorted(risk or "mixed" for risk in subject.risks(label)) if labelled else [],
                "cases": counts[label],
                "patients": len(tally.groups[label]),
                "splits": parts["split"][label],
                "tones": parts["band"][label],
                "sources": parts["source"][label],
                "licences": parts["licence"][label],
            }
        )
    return rows


def _sources(subject: Subject) -> dict[str, Any]:
    tally = subject.tally
    licences = _nested(tally.by("source", "licence"))
    return {
        source: {
            "cases": cases,
            "licences": licences[source],
            "evaluation_only": tally.evaluation_only[source],
            "attributions": {
                text: n for (own, text), n in sorted(tally.attributions.items()) if own == source and text
            },
        }
        for source, cases in tally.one("source").items()
    }


def _licences(subject: Subject) -> dict[str, Any]:
    return {
        licence: {
            "name": TERMS[licence].name if licence in TERMS else "not known to skinr1",
            "cases": cases,
            "commercial": _VERDICT[commercial(licence)],
            "attribution": TERMS[licence].attribution if licence in TERMS else None,
            "share_alike": TERMS[licence].share_alike if licence in TERMS else None,
            "redistribution": TERMS[licence].redistribution if licence in TERMS else None,
        }
        for licence, cases in subject.tally.one("licence").items()
    }


def _joined(counts: Counts) -> dict[str, int]:
    return {", ".join(key): n for key, n in sorted(counts.items())}


def _nested(counts: Counts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (outer, inner), n in sorted(counts.items()):
        found.setdefault(outer, {})[inner] = n
    return found
