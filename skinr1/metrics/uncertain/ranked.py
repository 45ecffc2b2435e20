"""Readers' own rankings as the uncertain truth: Plackett-Luce posteriors, where PrIRN only knows their weights.

Readers who rank alike but for the names of the labels have the same posterior, so each way of ranking is sampled once.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import Coded, Columns
from skinr1.metrics.statistics import Array
from skinr1.metrics.tree import Tree
from skinr1.metrics.uncertain.adjusted import SAMPLES, Met
from skinr1.metrics.uncertain.irn import Ranking, irn
from skinr1.metrics.uncertain.plausibilities import LARGEST_TIE, plackett_luce

REPEATS = (1, 3, 10)

Pattern = tuple[tuple[tuple[int, ...], ...], ...]  # readers, their blocks, labels by order of first mention


class Ranked:
    """The cases of a run whose readers ranked labels.

    Attributes:
        cases: (n,) their places in the run.
        left_out: cases whose readers tie more than 7 labels, or name none.
        met: how the answers meet the labels, in order of first mention; one row of labels for each kind of readers.
    """

    def __init__(self, columns: Columns, tree: Tree):
        values = columns.readers.values
        usable = np.array([bool(labels_of(value)) and _largest_tie(value) <= LARGEST_TIE for value in values])
        self.cases = np.flatnonzero(usable[columns.readers.codes])
        self.left_out = int(np.array([bool(value) for value in values])[columns.readers.codes].sum()) - len(self.cases)
        kept, codes = np.unique(columns.readers.codes[self.cases], return_inverse=True)
        readers = [values[place] for place in kept]
        differential = Coded(codes.astype(np.int32), tuple(map(_weighted, readers)) or ((),))
        self.columns = replace(columns.take(self.cases), differential=differential)
        self.met = Met.of(self.columns, tree)
        made = [pattern(value) for value in readers]
        self._patterns = sorted(set(made))
        place = {found: number for number, found in enumerate(self._patterns)}
        self._kind = np.array([place[found] for found in made], dtype=np.int64)

    def adjusted(self, repeats: int, tops: Sequence[int], seed: int) -> dict[str, Array]:
        """Means over plausible truths, each (cases,), as :meth:`Met.adjusted` names them.

        Args:
            repeats: how often each reader is counted: how far one is trusted.
        """
        counts: NDArray[np.int64] = np.array([_count(found) for found in self._patterns])
        drawn = np.zeros((SAMPLES, len(self._patterns), self.met.weights.shape[1]))
        for number, (found, labels) in enumerate(zip(self._patterns, counts.tolist(), strict=True)):
            drawn[:, number, :labels] = plackett_luce(found, labels, SAMPLES, (seed, number), repeats)
        return self.met.held_against(drawn, counts, self._kind[self.met.differential], tops)


def labels_of(readers: Sequence[Ranking]) -> list[str]:
    """All labels, in order of first mention."""
    return list(dict.fromkeys(label for blocks in readers for block in blocks for label in block))


def pattern(readers: Sequence[Ranking]) -> Pattern:
    """The readers' rankings with labels as numbers, by order of first mention."""
    number = {label: place for place, label in enumerate(labels_of(readers))}
    return tuple(tuple(tuple(sorted(number[label] for label in block)) for block in blocks) for blocks in readers)


def _count(found: Pattern) -> int:
    return 1 + max(label for blocks in found for block in blocks for label in block)


def _largest_tie(readers: Sequence[Ranking]) -> int:
    return max((len(block) for blocks in readers for block in blocks), default=0)


def _weighted(readers: Sequence[Ranking]) -> tuple[tuple[str, float], ...]:
    weights = irn(readers)
    return tuple((label, weights[label]) for label in labels_of(readers))
