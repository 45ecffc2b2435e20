"""Numbers, curves and answers -> HTML. Model text reaches the page through jinja2's autoescape only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.metrics.catalogue import HEADLINE
from skinr1.metrics.outcomes import Outcome
from skinr1.page.curves import Curve
from skinr1.page.environment import environment
from skinr1.page.gallery import INVALID, NEAR, RIGHT, WRONG, Exhibit, exhibits
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Run:
    """One model's part of the page: its name, its ``scores.json`` and its outcomes."""

    name: str
    scores: Mapping[str, Any]
    outcomes: Sequence[Outcome]


def render(
    runs: Sequence[Run],
    curves: Mapping[str, Sequence[Curve]],
    folders: tuple[Path, ...],
    taxonomy: Taxonomy,
    gallery: int = 24,
    title: str = "skinr1: one run",
) -> tuple[str, int]:
    """The page, and how many gallery pictures could not be shown.

    Args:
        runs: in the order of the table's rows; the first decides which cases are in the gallery.
        curves: stage name -> drawings; an empty list says so in the page.
        folders: where relative image paths may lie.
        gallery: cases shown.
    """
    shown = exhibits({run.name: run.outcomes for run in runs}, folders, taxonomy, gallery)
    page = (
        environment(taxonomy)
        .get_template("page.html")
        .render(
            title=title,
            runs=runs,
            headline=HEADLINE,
            differences={run.name: differences(run.scores) for run in runs},
            curves=curves,
            exhibits=shown,
            legend={"right": RIGHT, "near": NEAR, "wrong": WRONG, "invalid": INVALID},
            rendered=sum(o.row.source.startswith("rendered") for o in runs[0].outcomes),
            taxonomy=taxonomy,
        )
    )
    return page, missing_pictures(shown)


def missing_pictures(shown: Sequence[Exhibit]) -> int:
    """Exhibits without a picture."""
    return sum(exhibit.picture is None for exhibit in shown)


def differences(scores: Mapping[str, Any]) -> list[str]:
    """The paired differences of the headline metrics in words, against the baseline and the majority class."""
    lines = []
    if scores["paired"]:
        lines += [
            difference_in_words(words, scores["paired"]["metrics"][name], scores["paired"]["baseline"])
            for name, words in HEADLINE.items()
        ]
    lines += [
        difference_in_words(
            HEADLINE[name], scores["majority_class"]["paired"][name], "always answering the most frequent class"
        )
        for name in ("top1", "hierarchical_f")
    ]
    return lines


def difference_in_words(metric: str, found: Mapping[str, Any], other: str) -> str:
    """One sentence: direction, size, interval, and whether chance alone could explain it."""
    if found["value"] is None:
        return f"{metric}: not computable on these cases"
    size = abs(found["value"])
    moved = "equal to" if size == 0 else f"{size:.3f} {'above' if found['value'] > 0 else 'below'}"
    if found["low"] is None:
        return f"{metric}: {moved} {other}; too few patients for an interval"
    verdict = "excludes 0" if found["excludes_zero"] else "includes 0: no difference shown"
    interval = f"95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
    return f"{metric}: {moved} {other}; {interval}, which {verdict} ({found['n']} cases)"
