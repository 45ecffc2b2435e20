"""Intervals. Patients, not photographs, are the unit: all statistics of a patient are drawn together.

Every metric is a function of sums over cases, so one matrix product resamples them all.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from statistics import NormalDist
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

Array: TypeAlias = NDArray[np.float64]
Result = TypeVar("Result")
Sums: TypeAlias = Array | sparse.csr_array  # (rows, k); sparse where each row has few of many columns

RESAMPLES = 2000
SEED = 20_260
LEVEL = 0.95
CHUNK_BYTES = 128 * 2**20  # weights held at once
HELD_BYTES = 2**30  # of draws, a byte each, kept from one pass to the next


def cluster_sums(table: Sums, clusters: NDArray[np.int32], count: int) -> Sums:
    """Sums a (cases, k) table over clusters, given as numbers below ``count``; returns (count, k)."""
    cases = len(clusters)
    ones = np.ones(cases)
    member = sparse.csr_array((ones, (clusters, np.arange(cases))), shape=(count, cases))
    found = member @ table
    return found.tocsr() if sparse.issparse(found) else np.asarray(found)


def counts(clusters: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterable[NDArray[np.uint8]]:
    """How often each cluster is drawn, in ``resamples`` draws of as many clusters with replacement.

    Scores are many passes over the same draws, so the last ones are kept as far as :data:`HELD_BYTES` allows.

    Returns:
        (clusters, draws) pieces that are small enough to be widened. Equal arguments give the same draws, so that
        columns of two runs, or two groups of a run, stay paired.
    """
    at_once = max(1, min(resamples, CHUNK_BYTES // (8 * clusters)))
    make = _held if clusters * resamples <= HELD_BYTES else _drawn
    return make(clusters, resamples, seed, at_once)


def _drawn(clusters: int, resamples: int, seed: int, at_once: int) -> Iterator[NDArray[np.uint8]]:
    """A cluster comes up 256 times in one draw with a probability of 1 in 256 factorial: a byte holds the count."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, resamples, at_once):
        piece = np.empty((min(at_once, resamples - start), clusters), dtype=np.uint8)
        for draw in piece:
            draw[:] = np.bincount(generator.integers(0, clusters, clusters), minlength=clusters)
        yield np.ascontiguousarray(piece.T)


@lru_cache(maxsize=1)
def _held(clusters: int, resamples: int, seed: int, at_once: int) -> tuple[NDArray[np.uint8], ...]:
    return tuple(_drawn(clusters, resamples, seed, at_once))


def over_draws(
    work: Callable[[NDArray[np.uint8]], Result], clusters: int, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Result]:
    """What ``work`` makes of each piece of :func:`counts`, in their order; pieces that are held go to all cores."""
    pieces = counts(clusters, resamples, seed)
    if not isinstance(pieces, tuple) or len(pieces) == 1:
        return [work(piece) for piece in pieces]
    cores = min(len(pieces), os.cpu_count() or 1)
    # each product on one core: threads of BLAS below ours would wait for one another
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as pool:
        return list(pool.map(work, pieces))


def drawn_sums(sums: Sums, piece: Array) -> Array:
    """Totals of one piece of :func:`counts`, made floats: (clusters, k) -> (draws, k)."""
    return np.ascontiguousarray(np.asarray(sums.T @ piece).T)


def distinct(codes: NDArray[np.integer], count: int) -> int:
    """How many of the numbers below ``count`` occur."""
    return int(np.count_nonzero(np.bincount(codes, minlength=count)))


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
    return divided(sums[..., 0], sums[..., 1])


def divided(top: Array, bottom: Array) -> Array:
    """Element by element; NaN where the denominator is not positive."""
    out = np.full(np.broadcast_shapes(np.shape(top), np.shape(bottom)), np.nan)
    return np.divide(top, bottom, out=out, where=np.asarray(bottom) > 0)


def one_hot(codes: Sequence[NDArray[np.int64]], width: int) -> sparse.csr_array:
    """(cases, width) with a 1 at each code of a case; codes below 0 are none."""
    rows = np.concatenate([np.flatnonzero(code >= 0) for code in codes])
    places = np.concatenate([code[code >= 0] for code in codes])
    return sparse.csr_array((np.ones(len(rows)), (rows, places)), shape=(len(codes[0]), width))
