"""The drawings of a card: stacked bars, each with the words for those who do not see it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skinr1.datacard.gaps import Subject
from skinr1.datacard.tally import Tally, bands, splits
from skinr1.page.curves import Curve
from skinr1.page.svg import COLOURS, INK, drawing

BARS = 40
# Hatches differ too, so that colour is never the only sign.
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++", "oo")
QUIET = "#8a9099"


def plots(subject: Subject) -> list[Curve]:
    """Diagnoses by tone, splits by tone, ages by split, sources by licence; what has no numbers is left out."""
    tally = subject.tally
    columns = bands(tally)
    counts = tally.by("label", "band")
    totals = tally.one("label")
    ranked = sorted(tally.labels, key=lambda label: (-totals[label], label))
    shown = ranked[:BARS]
    more = f" The {BARS} most frequent of {len(ranked)}; the table has all." if len(ranked) > BARS else ""
    made = [
        _bars("diagnoses", f"Diagnoses by skin tone.{more}", shown, columns, counts, subject.name),
        _bars("splits", "Splits by skin tone.", splits(tally), columns, tally.by("split", "band")),
        _ages(tally),
        _bars(
            "sources",
            "Sources by licence.",
            [*tally.one("source")],
            [*tally.one("licence")],
            tally.by("source", "licence"),
        ),
    ]
    return [curve for curve in made if curve is not None]


def _ages(tally: Tally) -> Curve | None:
    decades = {first for first, _ in tally.ages}
    if not decades:
        return None
    every = range(min(decades), max(decades) + 1, 10)
    counts: dict[tuple[str, ...], int] = {(_decade(first), split): n for (first, split), n in tally.ages.items()}
    return _bars("ages", "Ages by split.", [_decade(first) for first in every], splits(tally), counts)


def _decade(first: int) -> str:
    return f"{first}–{first + 9} years"


def _bars(
    name: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Mapping[tuple[str, ...], int],
    words: Callable[[str], str] = str,
) -> Curve | None:
    """Horizontal stacked bars, the first row on top; None without rows."""
    if not rows:
        return None
    names = [words(row) for row in rows]
    size = (7.4, 1.0 + 0.22 * len(rows))
    svg = drawing(f"card-{name}", size, lambda axes: _draw(axes, rows, names, columns, counts), name=title)
    return Curve(title, svg, "; ".join(_in_words(row, words(row), columns, counts) for row in rows))


def _in_words(row: str, name: str, columns: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> str:
    parts = {column: counts.get((row, column), 0) for column in columns}
    told = ", ".join(f"{column} {count}" for column, count in parts.items() if count)
    return f"{name} {sum(parts.values())} ({told})"


def _draw(
    axes: Any,
    rows: Sequence[str],
    names: Sequence[str],
    columns: Sequence[str],
    counts: Mapping[tuple[str, ...], int],
) -> None:
    from matplotlib.ticker import MaxNLocator

    left = [0] * len(rows)
    for number, column in enumerate(columns):
        widths = [counts.get((row, column), 0) for row in rows]
        colour = QUIET if column == "unknown" else COLOURS[number % len(COLOURS)]
        axes.barh(
            range(len(rows)),
            widths,
            left=left,
            label=_plain(column),
            color=colour,
            hatch=HATCHES[number % len(HATCHES)],
            edgecolor=INK,
            linewidth=0.3,
        )
        left = [before + width for before, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(str(total), (total, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("cases")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.margins(x=0.08, y=0.02)
    axes.grid(axis="x", color="#888888", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(columns), 6))


def _plain(text: str) -> str:
    """A name as matplotlib shows it: no mathematics between dollar signs."""
    return text.replace("$", r"\$")
