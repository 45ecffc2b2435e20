"""The drawings of a page: bars with intervals, and lines. Each says its numbers in a table and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.page.content import Estimate, Plot, Table, estimate_table
from skinr1.page.svg import COLOURS, INK, drawing

LEGEND_LETTERS = 40
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++", "oo", "--")
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def bars(
    name: str,
    title: str,
    first: str,
    rows: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    unit: str,
    mark: float | None = None,
    limits: tuple[float, float] | None = (0, 1),
    counts: Sequence[int] | None = None,
    looks: Sequence[str] = (),
) -> Plot:
    """Horizontal bars, one group a row, one bar a series, each with its interval.

    Args:
        name: unique in the page.
        first: heading of the table's first column.
        mark: where a reference line stands.
        limits: of the axis; None for what the numbers need.
        counts: cases of each row, which stand behind its name in the drawing.
        looks: names of which each looks the same in every drawing that is given them, whatever others it shows.
    """
    labels = [f"{row} ({counts[at]})" for at, row in enumerate(rows)] if counts else rows
    size = (5.0, 0.9 + max(1, len(series)) * 0.17 * len(rows) + 0.12 * len(rows))
    svg = drawing(name, size, lambda axes: _bars(axes, labels, series, unit, mark, limits, looks), name=title)
    table = estimate_table(f"{title}: the numbers", first, rows, series, folded=True)
    return Plot(title, svg, _extremes(rows, series), table)


def _bars(
    axes: Any,
    rows: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    unit: str,
    mark: float | None,
    limits: tuple[float, float] | None,
    looks: Sequence[str],
) -> None:
    thick = 0.8 / max(1, len(series))
    for number, (label, estimates) in enumerate(series.items()):
        known = [(at, e) for at, e in enumerate(estimates) if e is not None and e["value"] is not None]
        places = [at + (number - (len(series) - 1) / 2) * thick for at, _ in known]
        values = [e["value"] for _, e in known]
        look = _look(label, number, looks)
        hatch, colour = HATCHES[look % len(HATCHES)], COLOURS[look % len(COLOURS)]
        axes.barh(
            places, values, thick * 0.92, label=plain(label), color=colour, hatch=hatch, edgecolor=INK, linewidth=0.3
        )
        for place, (_, estimate) in zip(places, known, strict=True):
            if estimate["low"] is not None:
                axes.plot(
                    [estimate["low"], estimate["high"]], [place, place], color=INK, linewidth=1.3, marker="|", ms=5
                )
        missing = [at for at, e in enumerate(estimates) if e is None or e["value"] is None]
        for at in missing:
            place = at + (number - (len(series) - 1) / 2) * thick
            axes.annotate("n/a", (mark or 0, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [plain(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(unit)
    if limits:
        axes.set_xlim(*limits)
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=0.8, linestyle="--")
    axes.grid(axis="x", color="#888888", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(series) > 1:
        columns = 4 if sum(map(len, series)) <= LEGEND_LETTERS else 2  # a wider legend would take the room of the bars
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(series), columns))


def _look(label: str, number: int, looks: Sequence[str]) -> int:
    """Number of a series' colour and pattern: its name's own, else its place."""
    return looks.index(label) if label in looks else number


@dataclass(frozen=True)
class Line:
    """One line: places, values, and bounds of its band where it has one."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def lines(
    name: str,
    title: str,
    series: Mapping[str, Line],
    axes_names: tuple[str, str],
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, (0, 1)),
    diagonal: bool = False,
    whole: bool = False,
    table: Table | None = None,
    looks: Sequence[str] = (),
) -> Plot:
    """Lines over one axis; each has a colour, a style and a marker of its own.

    Args:
        limits: of the horizontal and of the vertical axis; None for what the numbers need.
        diagonal: draws where both axes are equal.
        whole: the horizontal axis counts whole things.
        table: the numbers, where they are more than the points of the lines.
        looks: as of :func:`bars`.
    """

    def draw(axes: Any) -> None:
        _lines(axes, series, axes_names, limits, diagonal, whole, looks)

    svg = drawing(name, (4.6, 3.3), draw, name=title)
    words = "; ".join(
        f"{label} from {line.y[0]:.2f} at {line.x[0]:.3g} to {line.y[-1]:.2f} at {line.x[-1]:.3g}"
        for label, line in series.items()
        if len(line.x)
    )
    return Plot(title, svg, f"{words}.", table or _points(title, series, axes_names, whole))


def _points(title: str, series: Mapping[str, Line], names: tuple[str, str], whole: bool) -> Table:
    """The points of all lines: one row a place, one column a line."""
    places = sorted({x for line in series.values() for x in line.x})
    rows = []
    for place in places:
        found = []
        for line in series.values():
            at = next((number for number, x in enumerate(line.x) if x == place), None)
            if at is None:
                found.append("–")
            elif line.low is None or line.high is None:
                found.append(f"{line.y[at]:.2f}")
            else:
                found.append(f"{line.y[at]:.2f} [{line.low[at]:.2f}, {line.high[at]:.2f}]")
        rows.append((f"{place:.0f}" if whole else f"{place:.2f}", *found))
    return Table(f"{title}: {names[1]} by {names[0]}", (names[0], *series), tuple(rows), folded=True)


def _lines(
    axes: Any,
    series: Mapping[str, Line],
    names: tuple[str, str],
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None],
    diagonal: bool,
    whole: bool,
    looks: Sequence[str],
) -> None:
    from matplotlib.ticker import MaxNLocator

    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    for number, (label, line) in enumerate(series.items()):
        look = _look(label, number, looks)
        colour, style = COLOURS[look % len(COLOURS)], STYLES[look % len(STYLES)]
        marker = MARKERS[look % len(MARKERS)] if len(line.x) <= 24 else None
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            line.x,
            line.y,
            color=colour,
            linestyle=style,
            marker=marker,
            markersize=4,
            linewidth=1.6,
            label=plain(label),
        )
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    if limits[0]:
        axes.set_xlim(*limits[0])
    if limits[1]:
        axes.set_ylim(*limits[1])
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(color="#888888", alpha=0.25, linewidth=0.6)
    if len(series) > 1:
        axes.legend(
            frameon=False,
            fontsize=8,
            handlelength=3,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=min(len(series), 3),
        )


def _extremes(rows: Sequence[str], series: Mapping[str, Sequence[Estimate | None]]) -> str:
    """The lowest and the highest row of every series."""
    told = []
    for label, estimates in series.items():
        known = [(e["value"], row) for row, e in zip(rows, estimates, strict=True) if e and e["value"] is not None]
        if not known:
            told.append(f"{label}: nothing to show")
            continue
        (low, worst), (high, best) = min(known), max(known)
        prefix = f"{label}: " if len(series) > 1 else ""
        if len(known) == 1:
            told.append(f"{prefix}{low:.2f} ({worst})")
        else:
            told.append(f"{prefix}lowest {low:.2f} ({worst}), highest {high:.2f} ({best})")
    return "; ".join(told) + "."


def plain(text: str) -> str:
    """A name as matplotlib shows it: no mathematics between dollar signs."""
    return text.replace("$", r"\$")
