"""Stated confidence against correctness of the leading diagnosis.

Confidence is the probability that the differential gives to the diagnosis. An answer without a diagnosis, invalid or
declined, counts as a wrong one of confidence 1: silence cannot be well calibrated.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import Columns
from skinr1.metrics.statistics import Array, divided, wilson_interval

BINS = 10


def confidence(columns: Columns) -> Array:
    """(n,) probability of the diagnosis given; 1 without one."""
    return np.where(columns.said >= 0, columns.probability[:, 0] / 100, 1.0)


def brier(given: Array, right: NDArray[np.bool_]) -> Array:
    """(n,) squared difference of confidence and correctness."""
    return (given - right) ** 2


def bin_of(given: Array, bins: int = BINS) -> NDArray[np.int64]:
    """Equal bins closed on the right, as in Guo et al. 2017: (0, 0.1], (0.1, 0.2] …; 0 belongs to the first."""
    return np.clip(np.ceil(np.round(given * bins, 9)).astype(np.int64) - 1, 0, bins - 1)


def gaps(given: Array, right: NDArray[np.bool_], silent: NDArray[np.bool_], bins: int = BINS) -> Array:
    """(n, bins + 2): confidence minus correctness in the case's bin (the silent have a bin of their own), and 1."""
    table = np.zeros((len(given), bins + 2))
    place = np.where(silent, bins, bin_of(given, bins))
    table[np.arange(len(given)), place] = given - right
    table[:, -1] = 1
    return table


def ece(sums: Array) -> Array:
    """Summed :func:`gaps` -> expected calibration error (Guo et al. 2017, equation 5)."""
    return divided(np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1])


def reliability(
    given: Array, right: NDArray[np.bool_], silent: NDArray[np.bool_], bins: int = BINS
) -> list[dict[str, Any]]:
    """The bins of the reliability diagram with Wilson intervals; the silent are the last row, without edges."""
    place = np.where(silent, bins, bin_of(given, bins))
    rows = []
    for number in range(bins + 1):
        inside = place == number
        n = int(inside.sum())
        low, high = wilson_interval(float(right[inside].sum()), n) if n else (None, None)
        edges = {"low": number / bins, "high": (number + 1) / bins} if number < bins else {"low": None, "high": None}
        rows.append(
            {
                **edges,
                "n": n,
                "confidence": round(float(given[inside].mean()), 6) if n else None,
                "accuracy": round(float(right[inside].mean()), 6) if n else None,
                "accuracy_low": low if low is None else round(low, 6),
                "accuracy_high": high if high is None else round(high, 6),
            }
        )
    return rows
