"""Agreement beyond chance, as functions of sums over cases, so that patients can be resampled like everything else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.statistics import Array, divided


def cohen_kappa(sums: Array) -> Array:
    """Cohen's kappa (1960) of a square table of counts, (..., classes²) -> (...).

    NaN where nothing was counted, or both raters always use one and the same class.
    """
    table = _square(sums)
    total = table.sum(axis=(-1, -2))
    observed = np.trace(table, axis1=-2, axis2=-1)
    expected = divided((table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1), total)
    return divided(observed - expected, total - expected)


def krippendorff_alpha(sums: Array) -> Array:
    """Krippendorff's alpha for nominal data (2011, section B) from sums of :func:`coincidences`.

    NaN where fewer than two classes were used, or no unit has two votes.
    """
    table = _square(sums)
    by_class = table.sum(axis=-1)
    total = by_class.sum(axis=-1)
    disagreed = total - np.trace(table, axis1=-2, axis2=-1)
    expected = divided(total**2 - (by_class**2).sum(axis=-1), total - 1)
    return 1 - divided(disagreed, expected)


def coincidences(votes: Sequence[Sequence[int]], classes: int) -> Array:
    """(units, classes²) what each unit adds to Krippendorff's coincidence table; a unit with one vote adds nothing.

    Args:
        votes: for each unit its votes, as places of classes. Units may have different numbers of them.
    """
    found = np.zeros((len(votes), classes, classes))
    for table, unit in zip(found, votes, strict=True):
        if len(unit) > 1:
            counts = np.bincount(unit, minlength=classes).astype(float)
            table += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return found.reshape(len(votes), classes * classes)


def confusion(one: NDArray[np.int64], other: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(n,) code of each pair of classes in a flattened square table; -1 where either is -1."""
    return np.where((one < 0) | (other < 0), -1, one * classes + other)


def _square(sums: Array) -> Array:
    side = round(np.shape(sums)[-1] ** 0.5)
    return np.asarray(sums, dtype=np.float64).reshape(*np.shape(sums)[:-1], side, side)
