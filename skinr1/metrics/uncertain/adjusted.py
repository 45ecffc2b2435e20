"""A ranked answer held against weighted labels: coverage, uncertainty-adjusted accuracy and average overlap.

Many cases share a differential and the way their answer meets it, so each such pair is worked out once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import RANKS, Columns
from skinr1.metrics.ranking import average_overlap, expected_overlap, shares
from skinr1.metrics.statistics import Array
from skinr1.metrics.tree import NONE, Tree
from skinr1.metrics.uncertain.plausibilities import certainty, prirn

SAMPLES = 200
PIECE = 2_000  # pairs worked out at once


@dataclass(frozen=True)
class Met:
    """How answers meet differentials.

    Attributes:
        weights: (differentials, labels) weights, 0 where a differential has fewer labels.
        differential: (pairs,) row of ``weights``.
        label: (pairs, 6) the label that each rank names first, by its place; -1 for a rank that names none of them or
            one already named, -2 for a rank not used.
        pair: (n,) the pair of each case; -1 for a case without a differential.
    """

    weights: Array
    differential: NDArray[np.int64]
    label: NDArray[np.int64]
    pair: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Columns, tree: Tree) -> "Met":
        values = columns.differential.values
        most = max(1, *(len(value) for value in values))
        nodes = np.full((len(values), most), NONE, dtype=np.int16)
        weights = np.zeros((len(values), most))
        for place, value in enumerate(values):
            nodes[place, : len(value)] = [tree.number[node] for node, _ in value]
            weights[place, : len(value)] = [weight for _, weight in value]
        cases = np.flatnonzero((weights[columns.differential.codes] > 0).any(axis=1))
        label = _labels(nodes[columns.differential.codes[cases]], columns.ranking[cases], tree)
        base = most + 2
        key = columns.differential.codes[cases].astype(np.int64)
        for rank in range(RANKS):
            key = key * base + (label[:, rank] + 2)
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        pair = np.full(len(columns), NONE, dtype=np.int64)
        pair[cases] = inverse
        return cls(weights, columns.differential.codes[cases][first].astype(np.int64), label[first], pair)

    def by_case(self, values: Array) -> Array:
        """(pairs,) -> (n,), NaN where there is no differential."""
        if not len(values):
            return np.full(len(self.pair), np.nan)
        return np.where(self.pair >= 0, values[self.pair], np.nan)

    @cached_property
    def named(self) -> NDArray[np.bool_]:
        """(pairs, 6, labels) whether a rank names a label."""
        return self.label[:, :, None] == np.arange(self.weights.shape[1])

    def coverage(self, k: int) -> Array:
        """(n,) weight of the labels among the first k: aggregated top-k accuracy.

        What of the readers' weight has no node is covered by nothing.
        """
        return self.by_case((self.named[:, :k].any(axis=1) * self.weights[self.differential]).sum(axis=1))

    def overlap(self) -> Array:
        """(n,) average overlap with the labels by weight, equal weights tied."""
        reference = shares(self.weights, RANKS)[self.differential]
        return self.by_case(
            _in_pieces(self, lambda piece: average_overlap(self._places(piece), _widened(reference[piece])))
        )

    def _places(self, piece: slice) -> Array:
        """(pairs, labels + 6, 6): a rank that names no label is one of its own, which the readers never name."""
        named = self.named[piece].transpose(0, 2, 1).astype(np.float64)
        other = np.eye(RANKS)[None] * (self.label[piece] == NONE)[:, None, :]
        return np.concatenate([named, other], axis=1)

    @cached_property
    def profiles(self) -> tuple[Array, NDArray[np.int64]]:
        """((profiles, labels) weights that occur, (differentials,) row of each): few, whatever the labels are."""
        found, place = np.unique(self.weights, axis=0, return_inverse=True)
        return found, place.reshape(-1)

    def adjusted(self, reliability: float, tops: Sequence[int], seed: int, samples: int = SAMPLES) -> dict[str, Array]:
        """Means over plausible truths of PrIRN at a reliability, each (n,): ``top1`` …, ``average_overlap``; and
        ``certainty``, how often the case's most certain label is the most plausible one.
        """
        weights, row = self.profiles
        drawn = prirn(weights, reliability, samples, seed)
        return self.held_against(drawn, (weights > 0).sum(axis=1), row[self.differential], tops)

    def held_against(
        self, drawn: Array, labels: NDArray[np.int64], kind: NDArray[np.int64], tops: Sequence[int]
    ) -> dict[str, Array]:
        """Means over plausible truths, as :meth:`adjusted` names them.

        Args:
            drawn: (samples, kinds, labels) plausible weights, 0 for no label; their columns are those of ``weights``.
            labels: (kinds,) how many labels each kind has.
            kind: (pairs,) which kind a pair is held against.
        """
        certain = certainty(drawn)
        places = np.mean([shares(sample, RANKS) for sample in drawn], axis=0)

        def overlap(piece: slice) -> Array:
            rows = kind[piece]
            return expected_overlap(self._places(piece), _widened(places[rows]), labels[rows])

        tops_found = {k: (self.named[:, :k].any(axis=1) * certain[kind]).sum(axis=1) for k in tops}
        return {
            **{f"top{k}": self.by_case(found) for k, found in tops_found.items()},
            "average_overlap": self.by_case(_in_pieces(self, overlap)),
            "certainty": self.by_case(certain.max(axis=1)[kind]),
        }


def _in_pieces(met: Met, overlap: Callable[[slice], Array]) -> Array:
    """(pairs,) made piece by piece, so that memory stays small."""
    pieces = (slice(at, at + PIECE) for at in range(0, len(met.label), PIECE))
    return np.concatenate([np.zeros(0), *map(overlap, pieces)])


def _widened(reference: Array) -> Array:
    return np.concatenate([reference, np.zeros((len(reference), RANKS, RANKS))], axis=1)


def _labels(nodes: NDArray[np.int16], ranking: NDArray[np.int16], tree: Tree) -> NDArray[np.int64]:
    """(n, 6) as in :class:`Met`; an entry names the labels that it is, or lies below, the first of them."""
    taken = np.zeros(nodes.shape, dtype=bool)
    found = np.where(ranking >= 0, NONE, -2).astype(np.int64)
    for rank in range(RANKS):
        for label in range(nodes.shape[1]):
            free = (found[:, rank] == NONE) & ~taken[:, label]
            hit = free & tree.covers(nodes[:, label], ranking[:, rank])
            found[hit, rank] = label
            taken[hit, label] = True
    return found
