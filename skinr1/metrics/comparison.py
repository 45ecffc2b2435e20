"""Two runs on the same cases: tests of their difference, corrected for how many are made, and cases needed."""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from skinr1.metrics.statistics import SEED, Array, Sums, drawn_sums

PERMUTATIONS = 10_000
PIECE_BYTES = 64 * 2**20


def mcnemar(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[int, int, float]:
    """(cases only ours has right, cases only theirs has right, exact two-sided p).

    The exact test: under no difference each discordant case falls to either side like a coin. Cases of one patient
    are taken for independent here; :func:`permutation` does not.
    """
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    discordant = only_ours + only_theirs
    return only_ours, only_theirs, 1.0 if not discordant else float(binomtest(only_ours, discordant).pvalue)


def permutation(
    ours: Array, theirs: Array, clusters: NDArray[np.int32], seed: int = SEED, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """(mean difference, two-sided p) of paired scores: the runs' names are exchanged patient by patient.

    Cases with a NaN in either run are outside. p = (1 + permutations at least as far from 0) / (1 + permutations).
    """
    both = ~(np.isnan(ours) | np.isnan(theirs))
    if not both.any():
        return math.nan, math.nan
    _, place = np.unique(clusters[both], return_inverse=True)
    by_patient = np.bincount(place, weights=(ours - theirs)[both])
    by_patient = by_patient[by_patient != 0]  # a patient without a difference stays where it is
    as_far, seen = 0, abs(float(by_patient.sum()))
    for kept in _kept(len(by_patient), seed, permutations, PIECE_BYTES // max(1, len(by_patient))):
        as_far += int((np.abs((2.0 * kept - 1) @ by_patient) >= seen - 1e-9).sum())
    return float((ours - theirs)[both].mean()), (1 + as_far) / (1 + permutations)


def permutation_of_sums(
    value: Callable[[Array], Array], ours: Sums, theirs: Sums, seed: int = SEED, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """(difference, two-sided p) of any metric that is a function of sums: :func:`permutation` where it is no mean.

    The metric is worked out anew each time the runs' names are exchanged, with all sums of a patient at once. An
    exchange after which it is undefined in a run counts as one at least as far from 0.

    Args:
        value: (..., width) sums -> (...) values, NaN where undefined.
        ours, theirs: (patients, width) sums of each patient, both dense or both sparse.
    """
    total, other = (np.asarray(sums.sum(axis=0), dtype=np.float64).ravel() for sums in (ours, theirs))
    seen = float(value(total) - value(other))
    if math.isnan(seen):
        return math.nan, math.nan
    minus = ours - theirs
    minus = minus[np.asarray(abs(minus).sum(axis=1)).ravel() > 0]  # a patient without a difference stays where it is
    patients, width = minus.shape
    as_far = 0
    for kept in _kept(patients, seed, permutations, PIECE_BYTES // max(1, patients, 8 * width)):
        moved = drawn_sums(minus, 1 - kept.T.astype(np.float64))
        differences = value(total - moved) - value(other + moved)
        as_far += int(((np.abs(differences) >= abs(seen) - 1e-9) | np.isnan(differences)).sum())
    return seen, (1 + as_far) / (1 + permutations)


def _kept(patients: int, seed: int, permutations: int, at_once: int) -> Iterator[NDArray[np.int8]]:
    """(permutations, patients) pieces of 0 and 1: whether a patient keeps its runs' names; 0 exchanges them."""
    generator = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, at_once)
    for start in range(0, permutations, at_once):
        yield generator.integers(0, 2, (min(at_once, permutations - start), patients), dtype=np.int8)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Test -> p adjusted for all of them (Holm 1979), in the order given."""
    order = sorted(p_values, key=lambda name: (p_values[name], name))
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def cases_needed(difference: float, discordant: float, power: float = 0.8, level: float = 0.05) -> int:
    """Independent paired cases for McNemar's test to find a difference (Connor 1987).

    Args:
        difference: of the two accuracies, not 0.
        discordant: share of cases that only one run has right, at least ``difference``.

    Raises:
        ValueError: no such pair of runs exists.
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError("needs 0 < |difference| <= discordant <= 1")
    normal = NormalDist()
    z_level, z_power = normal.inv_cdf(1 - level / 2), normal.inv_cdf(power)
    spread = math.sqrt(max(0.0, discordant - difference**2))
    return math.ceil((z_level * math.sqrt(discordant) + z_power * spread) ** 2 / difference**2)
