"""Hierarchical back-off: where no diagnosis is likely enough, the deepest group that is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.tree import NONE, Nodes, Tree


def backed_off(ranking: Nodes, probability: NDArray[np.uint8], tree: Tree, thresholds: Sequence[float]) -> list[Nodes]:
    """For each threshold (n,) the deepest node whose own and descendants' probabilities reach it; -1 where none does.

    Of several at one depth the likeliest, then the one listed first.
    """
    found = [np.full(len(ranking), NONE, dtype=np.int16) for _ in thresholds]
    rows = np.arange(len(ranking))
    for level in range(tree.levels):  # from the top: a deeper node takes the place of the one above
        at = np.where(ranking >= 0, tree.ancestors[ranking, level], NONE)
        same = (at[:, :, None] == at[:, None, :]) & (at[:, :, None] >= 0)
        mass = (same * probability[:, None, :].astype(np.int16)).sum(axis=2, dtype=np.int16)
        best = mass.argmax(axis=1)
        node, reached = at[rows, best], mass[rows, best]
        for place, threshold in enumerate(thresholds):
            enough = (reached >= round(100 * threshold)) & (node >= 0)
            found[place] = np.where(enough, node, found[place])
    return found
