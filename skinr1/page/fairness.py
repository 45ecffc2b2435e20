"""Sections about differences between groups: skin tone by scale and by who said it, sex, age, site, source."""

from collections.abc import Mapping, Sequence
from typing import Any

from skinr1.page.content import Estimate, Section, Table, cell, metric_name
from skinr1.page.plots import bars
from skinr1.page.results import Run

MEASURE = "top1"
NOT_COMPUTABLE = "not computable"
ODDS = {"tpr": "sensitivity", "fpr": "false alarms"}


def fairness(runs: Sequence[Run]) -> Section:
    """One part an attribute; groups that are too small to count are shown and marked."""
    found = {run.name: {part["attribute"]: part for part in run.scores.get("fairness") or ()} for run in runs}
    last = found[runs[-1].name]
    if not last:
        words = "These scores hold no groups beside skin tone: score again with this version of eval/score.py."
        return Section("groups", "Differences between groups", absent=words)
    text = (
        "Bars are top-1 with intervals over patients. A gap is the largest minus the smallest group that counts; "
        "unknown never counts, and a small group is marked. No shown gap is no proof of fairness.",
    )
    parts = tuple(_attribute(name, found, runs[-1].name) for name in last)
    return Section("groups", "Differences between groups", text, parts=parts)


def _attribute(name: str, found: Mapping[str, Mapping[str, Any]], last: str) -> Section:
    part = found[last][name]
    if len(part["groups"]) < 2:
        only = ", ".join(str(group["group"]) for group in part["groups"]) or "none"
        absent = f"One group only ({only}): {NOT_COMPUTABLE}."
        return Section(f"groups-{name}", name[0].upper() + name[1:], absent=absent)
    rows = [_row(group) for group in part["groups"]]
    counts = [group["n"] for group in part["groups"]]
    series = {
        run: _column(own[name], [group["group"] for group in part["groups"]])
        for run, own in found.items()
        if name in own
    }
    plot = bars(f"fairness-{name}", f"Top-1 by {name} (cases)", name, rows, series, "top-1", counts=counts)
    metrics = list(part["groups"][0]["metrics"]) if part["groups"] else []
    table = Table(
        f"{last} by {name}",
        ("group", "cases", "patients", *map(metric_name, metrics)),
        tuple(
            (_row(group), str(group["n"]), str(group["patients"]), *(cell(group["metrics"].get(m)) for m in metrics))
            for group in part["groups"]
        ),
        folded=True,
    )
    points = [*_headline(part), *_odds(part), *_standardised(part), *map(str, part.get("notes") or ())]
    return Section(
        f"groups-{name}", name[0].upper() + name[1:], points=tuple(points), tables=(table, _gaps(part)), plots=(plot,)
    )


def _headline(part: Mapping[str, Any]) -> list[str]:
    """The gap in top-1, in words."""
    gap, worst = part["gaps"].get(MEASURE), part["worst"].get(MEASURE)
    if gap is None or gap["value"] is None:
        return [f"Gap in {metric_name(MEASURE)}: {NOT_COMPUTABLE}, fewer than two groups of {part['minimum']} cases."]
    where = f"; lowest: {worst['group']}" if worst else ""
    return [f"Gap in {metric_name(MEASURE)}: {cell(gap)}{where}."]


def _row(group: Mapping[str, Any]) -> str:
    return f"{group['group']}{', small' if group.get('small') and not group.get('unknown') else ''}"


def _column(part: Mapping[str, Any], groups: Sequence[str]) -> list[Estimate | None]:
    known = {group["group"]: group["metrics"].get(MEASURE) for group in part["groups"]}
    return [known.get(group) for group in groups]


def _gaps(part: Mapping[str, Any]) -> Table:
    rows = []
    for metric, gap in part["gaps"].items():
        worst = part["worst"].get(metric)
        shown = NOT_COMPUTABLE if gap is None or gap["value"] is None else cell(gap)
        rows.append((metric_name(metric), shown, str(worst["group"]) if worst else "–"))
    caption = f"Gaps by {part['attribute']}; groups count from {part['minimum']} cases that a metric is of"
    return Table(caption, ("metric", "gap", "worst group"), tuple(rows), folded=True)


def _odds(part: Mapping[str, Any]) -> list[str]:
    odds = part.get("equalised_odds") or {}
    if not odds:
        return []
    told = [f"{name} {cell(odds[key])}" if odds.get(key) else f"{name} {NOT_COMPUTABLE}" for key, name in ODDS.items()]
    return [f"Equalised odds for malignancy, gap in {', in '.join(told)}."]


def _standardised(part: Mapping[str, Any]) -> list[str]:
    found = part.get("standardised")
    if not found:
        return []
    groups = ", ".join(f"{name} {value:.2f}" for name, value in found["groups"].items() if value is not None)
    gap = found["gap"]
    shown = cell(gap) if isinstance(gap, Mapping) else NOT_COMPUTABLE if gap is None else f"{gap:.2f}"
    return [f"With the same mix of diagnoses in every group: {groups}; gap {shown}."]
