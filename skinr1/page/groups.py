"""Sections about whom: skin tones, true diagnoses, and which subtree is taken for which."""

from collections.abc import Callable, Sequence

from skinr1.page.content import Section, Table, cell
from skinr1.page.plots import bars
from skinr1.page.results import Run

MEASURES = {"top1": "top-1", "hierarchical_f": "hierarchical F"}
BARS = 30


def tones(runs: Sequence[Run]) -> Section:
    """Top-1 by skin tone, with intervals."""
    groups = runs[0].scores["by_tone"]
    counts = [group["n"] for group in groups.values()]
    series = {run.name: [run.scores["by_tone"].get(name, {}).get("top1") for name in groups] for run in runs}
    title = "Top-1 by skin tone (cases)"
    return Section(
        "tones",
        "By skin tone",
        text=("Groups are not adjusted for their mix of diagnoses. Unknown tones are a row of their own.",),
        tables=(_table("Top-1 and hierarchical F by skin tone", "skin tone", runs, "by_tone", str, folded=True),),
        plots=(bars("tones", title, "skin tone", list(groups), series, "top-1", counts=counts),),
    )


def diagnoses(runs: Sequence[Run], named: Callable[[str], str]) -> Section:
    """Top-1 and hierarchical F by true diagnosis, the most frequent first in the drawing."""
    groups = runs[0].scores["by_diagnosis"]
    ranked = sorted(groups, key=lambda name: (-groups[name]["n"], name))[:BARS]
    rows, counts = [named(name) for name in ranked], [groups[name]["n"] for name in ranked]
    last = runs[-1]
    series = {last.name: [last.scores["by_diagnosis"].get(name, {}).get("top1") for name in ranked]}
    more = f", the {BARS} most frequent" if len(groups) > BARS else ""
    title = f"Top-1 of {last.name} by true diagnosis (cases){more}"
    return Section(
        "diagnoses",
        "By true diagnosis",
        tables=(
            _table("Top-1 and hierarchical F by true diagnosis", "diagnosis", runs, "by_diagnosis", named, folded=True),
        ),
        plots=(bars("diagnoses", title, "diagnosis", rows, series, "top-1", counts=counts),),
    )


def _table(
    caption: str, first: str, runs: Sequence[Run], key: str, named: Callable[[str], str], folded: bool = False
) -> Table:
    rows = []
    for name, group in runs[0].scores[key].items():
        own = [run.scores[key].get(name) for run in runs]
        cells = [cell(found[metric]) if found else "not answered" for found in own for metric in MEASURES]
        rows.append((named(name), str(group["n"]), *cells))
    head = (first, "cases", *(f"{run.name}: {words}" for run in runs for words in MEASURES.values()))
    return Table(caption, head, tuple(rows), folded)


def confusion(runs: Sequence[Run], named: Callable[[str], str]) -> Section:
    """Counts of true by answered subtree, one table a model, the last one unfolded."""
    level = runs[0].scores["confusion"]["level"]
    tables = []
    for run in runs:
        found = run.scores["confusion"]
        rows = tuple(
            (named(row), *map(str, counts)) for row, counts in zip(found["rows"], found["counts"], strict=True)
        )
        agree = frozenset(
            (found["rows"].index(name), found["columns"].index(name))
            for name in found["rows"]
            if name in found["columns"]
        )
        shades = tuple(tuple(count / max(1, sum(counts)) for count in counts) for counts in found["counts"])
        head = ("truth \\ answer", *map(named, found["columns"]))
        tables.append(Table(run.name, head, rows, folded=run is not runs[-1], framed=agree, shades=shades))
    return Section(
        "confusion",
        f"Confusion by subtree (level {level})",
        text=(
            "Rows are the truth, columns the answer; cells are counts, framed where they agree and darker the "
            "larger their share of the row.",
        ),
        tables=tuple(tables),
    )
