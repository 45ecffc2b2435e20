"""The section of runs that were asked a task: which one, its metrics with intervals, and what each means."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skinr1.metrics.meanings import meaning, not_computed, unknown_names
from skinr1.page.content import Section, Table, cell, metric_name
from skinr1.page.results import Run

Estimates = Mapping[str, Mapping[str, Any]]


def task(runs: Sequence[Run]) -> list[Section]:
    """Of runs of one task, whose scores have the part ``task``; nothing of runs without one."""
    found = {run.name: run.scores for run in runs if run.scores.get("task")}
    if not found:
        return []
    asked = next(iter(found.values()))["task"]
    table = task_table({name: (scores["task"]["metrics"], scores["metrics"]) for name, scores in found.items()})
    points = tuple(f"{name}: {told}" for name, scores in found.items() for told in remarks(scores["task"]))
    text = (
        asked["about"],
        "This table is of what was asked. The other parts of this page are of the same answers, but say something "
        "about the task only where they show one of these metrics.",
    )
    return [Section("task", task_title(asked), text, points, (table,))]


def remarks(part: Mapping[str, Any]) -> list[str]:
    """Sentences on unknown names, and on what could not be computed; ``part`` is ``task`` of a run's scores."""
    return [*unknown_names(part["unknown_names"]), *not_computed(part)]


def task_title(asked: Mapping[str, Any]) -> str:
    """The heading: name and version."""
    return f"Task: {asked['name']}, version {asked['version']}"


def task_table(runs: Mapping[str, tuple[Iterable[str], Estimates]]) -> Table:
    """A row a metric of the task: cases, the estimate of each run, and what it means.

    Args:
        runs: run -> names of the task's metrics that it has, and all its metrics; what one of them lacks is a dash.
    """
    names = dict.fromkeys(name for own, _ in runs.values() for name in own)
    rows = []
    for name in names:
        found = [metrics.get(name) for _, metrics in runs.values()]
        rows.append((metric_name(name), _sizes(found), *map(cell, found), meaning(name)))
    caption = (
        "Metrics of the task, with 95 % intervals (patients resampled). n is the denominator, invalid answers included"
    )
    return Table(caption, ("metric", "n", *runs, "meaning"), tuple(rows), worded=True)


def _sizes(found: Sequence[Mapping[str, Any] | None]) -> str:
    """The denominator; that of each run where they differ."""
    sizes = ["–" if estimate is None else str(estimate["n"]) for estimate in found]
    return sizes[0] if len(set(sizes)) == 1 else " / ".join(sizes)
