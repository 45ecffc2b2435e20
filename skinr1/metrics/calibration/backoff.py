"""Hierarchical back-off: where no diagnosis is likely enough, the deepest group that is."""

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.tree import NONE, Nodes, Tree


def backed_off(ranking: Nodes, probability: NDArray[np.uint8], tree: Tree, threshold: float) -> Nodes:
    """(n,) the deepest node whose own and descendants' probabilities reach ``threshold``; -1 where none does.

    Of several at one depth the likeliest, then the one listed first.
    """
    hundredths = round(100 * threshold)
    found = np.full(len(ranking), NONE, dtype=np.int16)
    for level in range(tree.levels):  # from the top: a deeper node takes the place of the one above
        at = np.where(ranking >= 0, tree.ancestors[ranking, level], NONE)
        same = (at[:, :, None] == at[:, None, :]) & (at[:, :, None] >= 0)
        mass = (same * probability[:, None, :].astype(np.int16)).sum(axis=2, dtype=np.int16)
        best = mass.argmax(axis=1)
        enough = (mass[np.arange(len(at)), best] >= hundredths) & (at[np.arange(len(at)), best] >= 0)
        found = np.where(enough, at[np.arange(len(at)), best], found)
    return found
