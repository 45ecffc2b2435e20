"""Metrics x outcomes -> numbers with intervals; two runs -> paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skinr1.errors import UserError
from skinr1.metrics.catalogue import Metric
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.statistics import (
    RESAMPLES,
    SEED,
    Array,
    cluster_sums,
    percentile_interval,
    resampled_sums,
    wilson_interval,
)
from skinr1.taxonomy import Taxonomy

# Decimals kept: more than any reader needs, fewer than a change of summation order disturbs.
DIGITS = 6


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: None when nothing in the cases allows it (no malignant case, say).
        low, high: None when there is no value, or fewer than two patients.
        n: cases in the denominator, invalid answers included.
        method: ``bootstrap`` over patients; ``wilson`` for a value of 0 or 1, where resampling sees no spread;
            ``none`` without an interval.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str


@dataclass(frozen=True)
class _Table:
    """Statistics of all metrics side by side. ``sums``: (patients, k); ``counted``: per metric (patients,) of cases."""

    sums: Array
    counted: list[Array]
    columns: list[slice]


def _table(metrics: Sequence[Metric], outcomes: Sequence[Outcome], taxonomy: Taxonomy) -> _Table:
    clusters = [o.cluster for o in outcomes]
    blocks, counted, columns, start = [], [], [], 0
    for metric in metrics:
        rows = [metric.statistics(o, taxonomy) for o in outcomes]
        block = np.array([row or (0.0,) * metric.width for row in rows], dtype=np.float64)
        blocks.append(cluster_sums(block, clusters))
        counted.append(cluster_sums(np.array([[float(row is not None)] for row in rows]), clusters)[:, 0])
        columns.append(slice(start, start + metric.width))
        start += metric.width
    return _Table(np.concatenate(blocks, axis=1), counted, columns)


def _number(value: float) -> float | None:
    # Adding 0 turns -0.0 into 0.0.
    return None if np.isnan(value) else round(float(value), DIGITS) + 0.0


def estimates(
    metrics: Sequence[Metric],
    outcomes: Sequence[Outcome],
    taxonomy: Taxonomy,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Name -> estimate, all metrics over the same resamples of patients."""
    table = _table(metrics, outcomes, taxonomy)
    drawn = resampled_sums(table.sums, resamples, seed)
    found = {}
    for metric, counted, columns in zip(metrics, table.counted, table.columns, strict=True):
        value = _number(float(metric.value(table.sums[:, columns].sum(axis=0))))
        patients, n = int((counted > 0).sum()), int(counted.sum())
        low_high, method = None, "none"
        if value is not None and patients >= 2:
            if metric.bounded and value in (0.0, 1.0):
                # Cases of one patient are not independent: count patients, which widens the interval.
                low_high, method = wilson_interval(value * patients, patients), "wilson"
            else:
                low_high, method = percentile_interval(metric.value(drawn[:, columns])), "bootstrap"
        low, high = (_number(low_high[0]), _number(low_high[1])) if low_high else (None, None)
        found[metric.name] = Estimate(value, low, high, n, method)
    return found


def paired_differences(
    metrics: Sequence[Metric],
    outcomes: Sequence[Outcome],
    baseline: Sequence[Outcome],
    taxonomy: Taxonomy,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """Name -> (run minus baseline) on the same cases, both drawn with the same weights.

    Raises:
        UserError: a case is in only one run, or the runs disagree about its truth or patient.
    """
    ours, theirs = _aligned(outcomes, baseline)
    one, other = _table(metrics, ours, taxonomy), _table(metrics, theirs, taxonomy)
    width = one.sums.shape[1]
    drawn = resampled_sums(np.concatenate([one.sums, other.sums], axis=1), resamples, seed)
    found = {}
    for metric, counted, columns in zip(metrics, one.counted, one.columns, strict=True):
        totals = [float(metric.value(table.sums[:, columns].sum(axis=0))) for table in (one, other)]
        value = _number(totals[0] - totals[1])
        samples = metric.value(drawn[:, :width][:, columns]) - metric.value(drawn[:, width:][:, columns])
        enough = value is not None and int((counted > 0).sum()) >= 2
        low_high = percentile_interval(samples) if enough else None
        low, high = (_number(low_high[0]), _number(low_high[1])) if low_high else (None, None)
        found[metric.name] = Estimate(value, low, high, int(counted.sum()), "bootstrap" if low_high else "none")
    return found


def _aligned(outcomes: Sequence[Outcome], baseline: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    ours, theirs = ({o.case_id: o for o in run} for run in (outcomes, baseline))
    alone = sorted(ours.keys() ^ theirs.keys())
    if alone:
        raise UserError(
            f"{len(alone)} case(s) were answered in only one of the two runs",
            ", ".join(alone[:3]),
            "Predict both runs on the same cases.",
        )
    for case_id, outcome in ours.items():
        mine, other = outcome.row, theirs[case_id].row
        if (sorted(mine.diagnoses), mine.condition, mine.patient_id) != (
            sorted(other.diagnoses),
            other.condition,
            other.patient_id,
        ):
            raise UserError("the two runs disagree about the truth", case_id, "Predict both from the same cases.")
    order = sorted(ours)
    return [ours[case_id] for case_id in order], [theirs[case_id] for case_id in order]
