"""Intervals. Patients, not photographs, are the unit: all statistics of a patient are drawn together.

Every metric is a function of sums over cases, so one matrix product resamples them all.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000
SEED = 20_260
LEVEL = 0.95
# Resamples drawn at once: bounds the weight matrix to CHUNK x patients.
CHUNK = 250


def cluster_sums(table: Array, clusters: Sequence[str]) -> Array:
    """Sums a (cases, k) table over clusters; returns (clusters, k), clusters in sorted order."""
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, table.shape[1]))
    np.add.at(sums, index, table)
    return sums


def resampled_sums(sums: Array, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Totals of ``resamples`` draws of as many clusters, with replacement.

    Args:
        sums: (clusters, k) from :func:`cluster_sums`.

    Returns:
        (resamples, k). Equal seeds and cluster counts draw the same clusters, so columns of two runs stay paired.
    """
    clusters = sums.shape[0]
    generator = np.random.Generator(np.random.PCG64(seed))
    even = np.full(clusters, 1 / clusters)
    sizes = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    return np.concatenate([generator.multinomial(clusters, even, size=size) @ sums for size in sizes])


def percentile_interval(samples: Array, level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of the resamples in which the metric is defined; None when it is in none."""
    defined = samples[~np.isnan(samples)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson_interval(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson score interval of a proportion.

    Raises:
        ValueError: ``n`` is not positive.
    """
    if n <= 0:
        raise ValueError("a proportion of nothing has no interval")
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(sums: Array) -> Array:
    """Numerator over denominator, (..., 2) -> (...); NaN where the denominator is 0."""
    out = np.full(sums.shape[:-1], np.nan)
    return np.divide(sums[..., 0], sums[..., 1], out=out, where=sums[..., 1] > 0)
