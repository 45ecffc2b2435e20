"""Metrics x cases -> numbers with intervals; two runs -> paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skinr1.errors import UserError
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.columns import Columns
from skinr1.metrics.statistics import (
    RESAMPLES,
    SEED,
    Array,
    Sums,
    cluster_sums,
    distinct,
    drawn_sums,
    over_draws,
    percentile_interval,
    wilson_interval,
)

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
class Block:
    """What one or several metrics sum.

    Attributes:
        metrics: those that are functions of these sums.
        patients, n: patients and cases that the metrics concern.
        total: (width,) sums over all.
    """

    metrics: tuple[Metric, ...]
    patients: int
    n: int
    total: Array


@dataclass(frozen=True)
class Table:
    """Blocks side by side: one product draws them all. ``sums``: (patients, widths of the blocks)."""

    blocks: tuple[Block, ...]
    sums: Sums

    @classmethod
    def of(cls, blocks: Sequence[Block], sums: Sequence[Sums]) -> "Table":
        """Of blocks whose sums are all dense, or all sparse."""
        if sparse.issparse(sums[0]):
            return cls(tuple(blocks), sparse.csr_array(sparse.hstack(sums)))
        return cls(tuple(blocks), np.concatenate([np.asarray(part) for part in sums], axis=1))

    def drawn(self, weights: Array) -> dict[str, Array]:
        """(patients, draws) how often each is drawn -> metric -> (draws,)."""
        totals, found, start = drawn_sums(self.sums, weights), dict[str, Array](), 0
        for block in self.blocks:
            own = totals[:, start : start + len(block.total)]
            start += len(block.total)
            found.update({metric.name: np.asarray(metric.value(own)) for metric in block.metrics})
        return found


def tables(metrics: Sequence[Metric], seen: Seen) -> list[Table]:
    """The metrics with the same statistics side by side, each statistic worked out once; dense and sparse apart."""
    shared: dict[int, list[Metric]] = {}
    for metric in metrics:
        shared.setdefault(id(metric.statistics), []).append(metric)
    made: dict[bool, list[tuple[Block, Sums]]] = {False: [], True: []}
    for group in shared.values():
        block, sums = _summed(tuple(group), group[0].statistics(seen), seen.columns)
        made[sparse.issparse(sums)].append((block, sums))
    return [Table.of(*zip(*side, strict=True)) for side in made.values() if side]


def _summed(metrics: tuple[Metric, ...], counted: Counted, columns: Columns) -> tuple[Block, Sums]:
    clusters = columns.cluster.codes
    sums = cluster_sums(counted.sums, clusters, columns.patients)
    patients = distinct(clusters[counted.cases], columns.patients)
    return Block(metrics, patients, int(counted.cases.sum()), np.asarray(sums.sum(axis=0)).ravel()), sums


def number(value: float) -> float | None:
    """A value as it is kept: six decimals, None for NaN. Adding 0 turns -0.0 into 0.0."""
    return None if np.isnan(value) else round(float(value), DIGITS) + 0.0


def values(found: Sequence[Table]) -> dict[str, float]:
    """Metric -> value over all cases, NaN where undefined."""
    blocks = (block for table in found for block in table.blocks)
    return {metric.name: float(metric.value(block.total)) for block in blocks for metric in block.metrics}


def draws(found: Sequence[Table], clusters: int, resamples: int, seed: int) -> dict[str, Array]:
    """Metric -> (resamples,) values, all over the same draws of patients."""

    def values_of(piece: NDArray[np.uint8]) -> dict[str, Array]:
        wide = piece.astype(np.float64)
        return {name: drawn for table in found for name, drawn in table.drawn(wide).items()}

    drawn = over_draws(values_of, clusters, resamples, seed)
    return {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}


def estimate_of(metric: Metric, value: float, samples: Array, n: int, patients: int) -> Estimate:
    """A value with the interval of its resamples, or Wilson's where they see no spread."""
    kept = number(value)
    if kept is None or patients < 2:
        return Estimate(kept, None, None, n, "none")
    if metric.bounded and kept in (0.0, 1.0):
        # Cases of one patient are not independent: count patients, which widens the interval.
        low_high, method = wilson_interval(kept * patients, patients), "wilson"
    else:
        found = percentile_interval(samples)
        if found is None:
            return Estimate(kept, None, None, n, "none")
        low_high, method = found, "bootstrap"
    return Estimate(kept, number(low_high[0]), number(low_high[1]), n, method)


@dataclass(frozen=True)
class Resampled:
    """The metrics of a run over all its cases, and over draws of its patients: all that intervals are made of.

    Attributes:
        point: metric -> value over all cases, NaN where undefined.
        samples: metric -> (resamples,) values.
        sizes: metric -> cases and patients that it concerns.
    """

    metrics: tuple[Metric, ...]
    point: Mapping[str, float]
    samples: Mapping[str, Array]
    sizes: Mapping[str, tuple[int, int]]

    def estimates(self) -> dict[str, Estimate]:
        """Name -> estimate, in the order of the metrics."""
        return {
            metric.name: estimate_of(
                metric, self.point[metric.name], self.samples[metric.name], *self.sizes[metric.name]
            )
            for metric in self.metrics
        }

    def minus(self, other: "Resampled") -> dict[str, Estimate]:
        """Name -> difference of the metrics that both have; the two runs have answered the same cases."""
        shared = (metric.name for metric in other.metrics if metric.name in self.sizes)
        return {name: self._difference(name, other) for name in shared}

    def _difference(self, name: str, other: "Resampled") -> Estimate:
        n, patients = self.sizes[name]
        value = number(self.point[name] - other.point[name])
        enough = value is not None and patients >= 2
        found = percentile_interval(self.samples[name] - other.samples[name]) if enough else None
        low, high = (number(found[0]), number(found[1])) if found else (None, None)
        return Estimate(value, low, high, n, "bootstrap" if found else "none")


def resampled(metrics: Sequence[Metric], seen: Seen, resamples: int = RESAMPLES, seed: int = SEED) -> Resampled:
    """All metrics over the same resamples of patients."""
    found = tables(metrics, seen)
    blocks = [block for table in found for block in table.blocks]
    sizes = {metric.name: (block.n, block.patients) for block in blocks for metric in block.metrics}
    return Resampled(tuple(metrics), values(found), draws(found, seen.columns.patients, resamples, seed), sizes)


def estimates(
    metrics: Sequence[Metric], seen: Seen, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Name -> estimate, in the order of the metrics, all over the same resamples of patients."""
    return resampled(metrics, seen, resamples, seed).estimates()


def paired_differences(
    metrics: Sequence[Metric], ours: Seen, theirs: Seen, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Name -> (run minus baseline) on the same cases, both drawn with the same weights.

    Raises:
        UserError: a case is in only one run, or the runs disagree about its truth or patient.
    """
    check_same_cases(ours.columns, theirs.columns)
    return resampled(metrics, ours, resamples, seed).minus(resampled(metrics, theirs, resamples, seed))


def check_same_cases(ours: Columns, theirs: Columns) -> None:
    """Raises UserError when a case is in only one run, or the runs disagree about its truth or patient."""
    if not np.array_equal(ours.case_id, theirs.case_id):
        alone = sorted(set(ours.case_id.tolist()) ^ set(theirs.case_id.tolist()))
        raise UserError(
            f"{len(alone)} case(s) were answered in only one of the two runs",
            ", ".join(alone[:3]),
            "Predict both runs on the same cases.",
        )
    differ = ours.true_bucket != theirs.true_bucket
    for mine, other in ((ours.truth, theirs.truth), (ours.cluster, theirs.cluster)):
        differ = differ | _differ(mine.codes, mine.values, other.codes, other.values)
    if differ.any():
        case = str(ours.case_id[int(differ.argmax())])
        raise UserError("the two runs disagree about the truth", case, "Predict both from the same cases.")


def _differ(
    codes: NDArray[np.int32], names: tuple[object, ...], others: NDArray[np.int32], other_names: tuple[object, ...]
) -> NDArray[np.bool_]:
    place = {name: at for at, name in enumerate(other_names)}
    translated = np.array([place.get(name, -1) for name in names], dtype=np.int32)
    return translated[codes] != others
