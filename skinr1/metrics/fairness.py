"""Scores by group. Unknown is a group of its own, never guessed into another, and never the worst.

Tone scales and provenances are separate attributes: a clinician's Fitzpatrick type, a contributor's own and an
estimate from pixels are three different things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.catalogue import GROUP_METRICS, HIERARCHICAL_F, SENSITIVITY, SPECIFICITY, TOP1, Metric, Seen
from skinr1.metrics.columns import UNKNOWN, Coded
from skinr1.metrics.estimate import Block, Estimate, Table, estimate_of, number, values
from skinr1.metrics.statistics import (
    RESAMPLES,
    SEED,
    Array,
    distinct,
    over_draws,
    percentile_interval,
    wilson_interval,
)

MINIMUM = 20


@dataclass(frozen=True)
class Group:
    """One group's cases, patient by patient, for all group metrics.

    Attributes:
        rows: (patients of the group,) their numbers among all patients.
        table: sums over those patients only.
    """

    name: str
    n: int
    rows: NDArray[np.int64]
    table: Table


def by_group(
    seen: Seen,
    attribute: Coded,
    metrics: Sequence[Metric] = (TOP1, HIERARCHICAL_F),
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, dict[str, Any]]:
    """Group -> ``{"n", "patients", metric: estimate}``, groups sorted by name, ``unknown`` last."""
    groups, samples = _drawn(seen, attribute, metrics, resamples, seed)
    return {
        group.name: {
            "n": group.n,
            "patients": len(group.rows),
            **{name: asdict(estimate) for name, estimate in _estimates(group, samples[group.name]).items()},
        }
        for group in groups
    }


def fairness(
    seen: Seen, name: str, attribute: Coded, resamples: int = RESAMPLES, seed: int = SEED, minimum: int = MINIMUM
) -> dict[str, Any]:
    """One attribute of the fairness table, as docs/evaluation.md lays it out."""
    groups, samples = _drawn(seen, attribute, GROUP_METRICS, resamples, seed)
    found = {group.name: _estimates(group, samples[group.name]) for group in groups}
    counting = [group.name for group in groups if group.n >= minimum and group.name != UNKNOWN]
    judged = {
        metric.name: [name for name in counting if found[name][metric.name].n >= minimum] for metric in GROUP_METRICS
    }
    gaps = {metric.name: _gap(metric, found, samples, judged[metric.name]) for metric in GROUP_METRICS}
    notes = []
    if len(counting) < 2:
        notes.append(f"not computable: fewer than two known groups with at least {minimum} cases")
    if small := [group.name for group in groups if group.n < minimum and group.name != UNKNOWN]:
        notes.append(f"too small to count in worst and gaps: {', '.join(small)}")
    if few := [metric for metric, names in judged.items() if len(names) < 2 <= len(counting)]:
        told = ", ".join(few).replace("_", " ")
        notes.append(f"fewer than two groups with {minimum} cases that count for them, so no worst and no gap: {told}")
    return {
        "attribute": name,
        "minimum": minimum,
        "groups": [
            {
                "group": group.name,
                "n": group.n,
                "patients": len(group.rows),
                "small": group.n < minimum,
                "unknown": group.name == UNKNOWN,
                "wilson": _wilson(found[group.name][TOP1.name]),
                "metrics": {metric: asdict(estimate) for metric, estimate in found[group.name].items()},
            }
            for group in groups
        ],
        "worst": {metric.name: _worst(metric, found, judged[metric.name]) for metric in GROUP_METRICS},
        "gaps": gaps,
        # Specificity is 1 - FPR, so that the largest differences of the two are the same.
        "equalised_odds": {"tpr": gaps[SENSITIVITY.name], "fpr": gaps[SPECIFICITY.name]},
        "standardised": standardised(seen, attribute, counting),
        "notes": notes,
    }


def attributes(seen: Seen) -> dict[str, Coded]:
    """Name -> column of everything that groups are made of; one a tone scale and provenance.

    Cases whose tone is on another scale are ``unknown`` on this one.
    """
    columns = seen.columns
    found = {}
    for kind in sorted({_tone_kind(value) for value in columns.tone.values} - {None}, key=str):
        names = [tone if _tone_kind((tone, by)) == kind else UNKNOWN for tone, by in columns.tone.values]
        found[f"skin tone ({kind})"] = _recoded(columns.tone.codes, names)
    tones = {"skin tone": _recoded(columns.tone.codes, [UNKNOWN] * len(columns.tone.values))} if not found else {}
    others = {name: getattr(columns, name) for name in ("sex", "age", "site", "source", "modality")}
    return {**found, **tones, **others}


def _tone_kind(value: tuple[str, str]) -> str | None:
    tone, provenance = value
    return None if tone == UNKNOWN else f"{tone.rpartition(' ')[0] or tone}, {provenance}"


def _recoded(codes: NDArray[np.int32], names: Sequence[str]) -> Coded:
    found = tuple(sorted(set(names)))
    return Coded(np.array([found.index(name) for name in names], dtype=np.int32)[codes], found)


def tones(seen: Seen) -> Coded:
    """The tone with its scale, whoever said it."""
    return _recoded(seen.columns.tone.codes, [tone for tone, _ in seen.columns.tone.values])


def diagnoses(seen: Seen) -> Coded:
    """The true node; several joined by `` | ``."""
    return _recoded(seen.columns.truth.codes, [" | ".join(nodes) for nodes in seen.columns.truth.values])


def standardised(seen: Seen, attribute: Coded, counting: Sequence[str]) -> dict[str, Any] | None:
    """Top-1 accuracy as if every group had the same mix of diseases; None where no disease is in all groups.

    acc_g = sum_d p(d) acc_gd over the true labels d present in all groups, p(d) their share of the cases of all groups:
    disease shift explains more of a gap than tone does.
    """
    if len(counting) < 2:
        return None
    group = np.array([counting.index(name) if name in counting else -1 for name in attribute.values])[attribute.codes]
    inside = group >= 0
    width = len(seen.columns.truth.values)
    cell = group[inside] * width + seen.columns.truth.codes[inside]
    n = np.bincount(cell, minlength=len(counting) * width).reshape(-1, width)
    right = np.bincount(cell, weights=seen.right[inside], minlength=len(counting) * width).reshape(-1, width)
    common = (n > 0).all(axis=0)
    if not common.any():
        return None
    share = n[:, common].sum(axis=0) / n[:, common].sum()
    accuracy = ((right[:, common] / n[:, common]) * share).sum(axis=1)
    return {
        "diagnoses": int(common.sum()),
        "cases": int(n[:, common].sum()),
        "groups": {name: number(value) for name, value in zip(counting, accuracy, strict=True)},
        "gap": number(float(accuracy.max() - accuracy.min())),
    }


def _drawn(
    seen: Seen, attribute: Coded, metrics: Sequence[Metric], resamples: int, seed: int
) -> tuple[list[Group], dict[str, dict[str, Array]]]:
    """The groups, unknown last, and group -> metric -> (resamples,): all groups over the same draws of patients."""
    groups = _groups(seen, attribute, metrics)

    def values_of(piece: NDArray[np.uint8]) -> dict[str, dict[str, Array]]:
        return {group.name: group.table.drawn(piece[group.rows].astype(np.float64)) for group in groups}

    drawn = over_draws(values_of, seen.columns.patients, resamples, seed)
    return groups, {g: {m: np.concatenate([part[g][m] for part in drawn]) for m in of} for g, of in drawn[0].items()}


def _groups(seen: Seen, attribute: Coded, metrics: Sequence[Metric]) -> list[Group]:
    shared: dict[int, list[Metric]] = {}
    for metric in metrics:
        shared.setdefault(id(metric.statistics), []).append(metric)
    counted = {key: seen.counted(of[0].statistics) for key, of in shared.items()}
    order = np.argsort(attribute.codes, kind="stable")
    edges = np.searchsorted(attribute.codes[order], np.arange(len(attribute.values) + 1))
    found = []
    for place, name in enumerate(attribute.values):
        cases = order[edges[place] : edges[place + 1]]
        if not len(cases):
            continue
        rows, cluster = np.unique(seen.columns.cluster.codes[cases], return_inverse=True)
        blocks, sums = [], []
        for key, of in shared.items():
            has = counted[key].cases[cases]
            sums.append(_summed(np.asarray(counted[key].sums)[cases], cluster, len(rows)))
            patients = distinct(cluster[has], len(rows))
            blocks.append(Block(tuple(of), patients, int(has.sum()), sums[-1].sum(axis=0)))
        found.append(Group(str(name), len(cases), rows.astype(np.int64), Table.of(blocks, sums)))
    return sorted(found, key=lambda group: (group.name == UNKNOWN, group.name))


def _summed(table: Array, cluster: NDArray[np.int64], count: int) -> Array:
    return np.stack([np.bincount(cluster, weights=column, minlength=count) for column in table.T], axis=1)


def _estimates(group: Group, samples: Mapping[str, Array]) -> dict[str, Estimate]:
    point = values([group.table])
    return {
        metric.name: estimate_of(metric, point[metric.name], samples[metric.name], block.n, block.patients)
        for block in group.table.blocks
        for metric in block.metrics
    }


def _wilson(top1: Estimate) -> list[float | None]:
    if top1.value is None or not top1.n:
        return [None, None]
    low, high = wilson_interval(top1.value * top1.n, top1.n)
    return [number(low), number(high)]


def _worst(
    metric: Metric, found: Mapping[str, Mapping[str, Estimate]], counting: Sequence[str]
) -> dict[str, Any] | None:
    known = [(value, name) for name in counting if (value := found[name][metric.name].value) is not None]
    if len(known) < 2:
        return None
    if len({value for value, _ in known}) < 2:
        return None  # all alike
    value, name = min(known) if metric.higher else max(known)
    return {"group": name, "value": value}


def _gap(
    metric: Metric,
    found: Mapping[str, Mapping[str, Estimate]],
    samples: Mapping[str, Mapping[str, Array]],
    counting: Sequence[str],
) -> dict[str, Any] | None:
    """Largest minus smallest value of the groups that count.

    Its interval leans upwards, since chance alone makes a gap; where it leaves the gap itself out, there is none.
    """
    known = [name for name in counting if found[name][metric.name].value is not None]
    if len(known) < 2:
        return None
    point = [found[name][metric.name].value or 0.0 for name in known]
    drawn = np.stack([samples[name][metric.name] for name in known])
    gap = max(point) - min(point)
    interval = percentile_interval(drawn.max(axis=0) - drawn.min(axis=0))
    holds = interval is not None and interval[0] <= gap <= interval[1]
    low, high = (number(interval[0]), number(interval[1])) if interval and holds else (None, None)
    n = sum(found[name][metric.name].n for name in known)
    return asdict(Estimate(number(gap), low, high, n, "bootstrap" if holds else "none"))
