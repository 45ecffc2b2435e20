"""What a page holds, before it is HTML or Markdown: sections of paragraphs, tables, and plots with their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skinr1.metrics.catalogue import HEADLINE
from skinr1.metrics.table import show

Estimate = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Numbers and names. The first column names the row; a cell is text, ``0.83 [0.79, 0.87]`` for an estimate.

    Attributes:
        folded: shown on demand in HTML.
        framed: (row, column) of cells to stand out, counted from 0 without the row's name.
        shades: a number from 0 to 1 a cell, for the background of a table of counts; empty for none.
        worded: the last column is words, not numbers.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False
    framed: frozenset[tuple[int, int]] = frozenset()
    shades: tuple[tuple[float, ...], ...] = ()
    worded: bool = False


@dataclass(frozen=True)
class Plot:
    """A drawing, the words for those who do not see it, and its numbers."""

    title: str
    svg: str
    words: str
    table: Table


@dataclass(frozen=True)
class Picture:
    """A picture with what stands below it. ``address`` is None when it cannot be shown."""

    address: str | None
    words: str


@dataclass(frozen=True)
class Section:
    """One part of a page. What is missing is a paragraph that says so, in ``absent``; ``wide`` plots need more room."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    absent: str = ""
    wide: bool = False
    parts: tuple["Section", ...] = field(default=())


def metric_name(name: str) -> str:
    """A metric's name as people read it."""
    return HEADLINE.get(name, name.replace("_", " "))


def cell(estimate: Estimate | None, form: str = ".2f") -> str:
    """An estimate as a cell; a dash where there is none."""
    return "–" if estimate is None else show(estimate, form)


def estimate_table(
    caption: str,
    first: str,
    rows: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    folded: bool = False,
    form: str = ".2f",
    counts: bool = True,
) -> Table:
    """One row a name, one column a series; with the denominator of the first series that has one.

    Args:
        series: name -> one estimate a row.
        counts: whether denominators are shown.
    """
    columns = list(series.values())
    body = []
    for at, name in enumerate(rows):
        known = [column[at] for column in columns]
        n = next((str(estimate["n"]) for estimate in known if estimate and estimate.get("n") is not None), "–")
        body.append((name, *((n,) if counts else ()), *(cell(estimate, form) for estimate in known)))
    head = (first, *(("n",) if counts else ()), *series)
    return Table(caption, head, tuple(body), folded)
