"""Sections about whom: skin tones, true diagnoses, and which subtree is taken for which."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skinr1.page.content import Section, Table, cell
from skinr1.page.plots import bars
from skinr1.page.results import Run

MEASURES = {"top1": "top-1", "hierarchical_f": "hierarchical F"}
BARS = 30
METHODS = {"rp": "RP", "rp2": "RP2", "groh": "Groh"}


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


def tone_from_pixels(run: Run) -> Section:
    """Skin tone by estimators that look at the photograph, each by itself, and how far they agree with each other."""
    title, found = "Skin tone from pixels", run.scores.get("tone_from_pixels")
    if not found:
        return Section(
            "pixels", title, absent="Not estimated: eval/score.py --images does it, where pictures are at hand."
        )
    text = (
        f"The individual typology angle of {found['images']} pictures ({found['unreadable']} could not be read), by "
        "three methods. It estimates the photograph, whose light and camera move it, and not the person: no group of "
        "this page is made of it, and it is never mixed with what a clinician or a patient says.",
    )
    edges = [*(f"over {edge:g}°" for edge in found["edges"]), f"{found['edges'][-1]:g}° or less"]
    spread = tuple(
        (METHODS[name], str(of["n"]), _quartiles(of["quartiles"]), *map(str, of["bins"]))
        for name, of in found["methods"].items()
    )
    agreed = {frozenset(row["methods"]): row for row in found["agreement"]}
    names = list(found["methods"])
    matrix = tuple((METHODS[one], *(_agreed(agreed.get(frozenset((one, other)))) for other in names)) for one in names)
    tables = (
        Table("Pictures by angle, light to dark", ("method", "n", "median (quartiles)", *edges), spread),
        Table(
            "Agreement: quadratic kappa, and share in the same bin",
            ("method", *(METHODS[name] for name in names)),
            matrix,
        ),
    )
    return Section("pixels", title, text=text, tables=tables)


def _quartiles(found: Sequence[float] | None) -> str:
    return "n/a" if found is None else f"{found[1]:.0f}° ({found[0]:.0f}° to {found[2]:.0f}°)"


def _agreed(row: Mapping[str, Any] | None) -> str:
    """One cell of the matrix; empty on its diagonal."""
    if row is None:
        return ""
    kappa, exact = (("n/a" if row[key] is None else f"{row[key]:.2f}") for key in ("kappa", "exact"))
    return f"{kappa}, {exact} (n {row['n']})"


def diagnoses(runs: Sequence[Run], named: Callable[[str], str]) -> Section:
    """Top-1 and hierarchical F by true diagnosis, the most frequent first in the drawing."""
    groups = runs[0].scores["by_diagnosis"]
    ranked = sorted(groups, key=lambda name: (-groups[name]["n"], name))[:BARS]
    rows, counts = [named(name) for name in ranked], [groups[name]["n"] for name in ranked]
    last = runs[-1]
    looks = [run.name for run in runs]
    series = {last.name: [last.scores["by_diagnosis"].get(name, {}).get("top1") for name in ranked]}
    more = f", the {BARS} most frequent" if len(groups) > BARS else ""
    title = f"Top-1 of {last.name} by true diagnosis (cases){more}"
    return Section(
        "diagnoses",
        "By true diagnosis",
        tables=(
            _table("Top-1 and hierarchical F by true diagnosis", "diagnosis", runs, "by_diagnosis", named, folded=True),
        ),
        plots=(bars("diagnoses", title, "diagnosis", rows, series, "top-1", counts=counts, looks=looks),),
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
