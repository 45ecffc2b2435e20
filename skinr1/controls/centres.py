"""Does an embedding know the source of a picture better than the disease on it? Robustness indices.

Of the nearest neighbours of a case among other patients, the first letter says whether the diagnosis group is the same
(S) or another (O), the second whether the source ("centre") is: SS, SO, OS, OO. PathoROB (Kömen et al. 2025):
index = SO / (SO + OS). De Jong et al. 2025: ratio = (SS + SO) / (SS + OS), above 1 where the disease counts for more.
Both move with how often groups and sources are the same to begin with, so the index stands beside its value when every
other patient is a neighbour: what an embedding has that knows neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.statistics import Array, divided

KINDS = ("SS", "SO", "OS", "OO")
NEIGHBOURS = 10
PIECE = 256  # cases compared with all others at a time


@dataclass(frozen=True)
class Places:
    """Embedded cases, all arrays in one order.

    Attributes:
        embeddings: (n, width).
        patients: (n,) a neighbour is of another patient.
        groups, centres: (n,) diagnosis group and source.
    """

    embeddings: Array
    patients: NDArray[np.str_]
    groups: NDArray[np.str_]
    centres: NDArray[np.str_]

    def kinds(self, cases: Sequence[int], k: int = NEIGHBOURS) -> tuple[Array, Array]:
        """(cases, 4) counts of :data:`KINDS` among the k nearest by cosine, and among all, of other patients.

        Of equally near cases the earlier one counts. A case with fewer than k others has them all.
        """
        near, every = [], []
        for piece in _pieces(cases):
            closeness = self._closeness(piece)
            order = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
            codes = self._codes(piece)
            other = np.isfinite(closeness)
            near.append(_counted(np.take_along_axis(codes, order, 1), np.take_along_axis(other, order, 1)))
            every.append(_counted(codes, other))
        return np.concatenate(near), np.concatenate(every)

    def _closeness(self, piece: Sequence[int]) -> Array:
        """(piece, n) cosine; minus infinity for the same patient."""
        lengths = np.linalg.norm(self.embeddings, axis=1, keepdims=True)
        unit = self.embeddings / np.where(lengths > 0, lengths, 1)
        same = self.patients[piece][:, None] == self.patients[None, :]
        return np.where(same, -np.inf, unit[piece] @ unit.T)

    def _codes(self, piece: Sequence[int]) -> NDArray[np.int64]:
        """(piece, n) place in :data:`KINDS`."""
        group = self.groups[piece][:, None] != self.groups[None, :]
        centre = self.centres[piece][:, None] != self.centres[None, :]
        return 2 * group.astype(np.int64) + centre


def _pieces(cases: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(cases), PIECE):
        yield list(cases[start : start + PIECE])


def _counted(codes: NDArray[np.int64], of: NDArray[np.bool_]) -> Array:
    return np.stack([((codes == kind) & of).sum(axis=1) for kind in range(len(KINDS))], axis=1).astype(float)


def index(sums: Array) -> Array:
    """SO / (SO + OS) of the first four columns."""
    return divided(sums[..., 1], sums[..., 1] + sums[..., 2])


def ratio(sums: Array) -> Array:
    """(SS + SO) / (SS + OS) of the first four columns."""
    return divided(sums[..., 0] + sums[..., 1], sums[..., 0] + sums[..., 2])


def metrics(near: Array, every: Array, counted: NDArray[np.bool_]) -> tuple[Metric, ...]:
    """Index, its value by chance, their difference, and the ratio, of cases in the order of a run's columns.

    Args:
        near, every: (n, 4) as :meth:`Places.kinds`; anything for a case that does not count.
        counted: (n,) cases that have a diagnosis group and a source.
    """
    shares = every / np.maximum(1, every.sum(axis=1, keepdims=True))  # so that each case weighs the same
    sums = np.where(counted[:, None], np.concatenate([near, shares], axis=1), 0.0)

    def statistics(seen: Seen) -> Counted:
        return Counted(sums, counted)

    return (
        Metric("robustness_index", statistics, index),
        Metric("index_by_chance", statistics, lambda sums: index(sums[..., 4:])),
        Metric("index_minus_chance", statistics, lambda sums: index(sums) - index(sums[..., 4:]), bounded=False),
        Metric("robustness_ratio", statistics, ratio, bounded=False),
    )
