"""How far readers agree: each held out in turn and compared with the others."""

from collections.abc import Sequence

import numpy as np

from skinr1.metrics.ranking import average_overlap, shares
from skinr1.metrics.uncertain.irn import Ranking, irn

LENGTH = 6


def left_out(readers: Sequence[Ranking]) -> list[tuple[float, float]]:
    """For each reader (average overlap with the others, weight of the others that the reader's labels cover).

    Empty with fewer than two readers.
    """
    found = []
    for number, reader in enumerate(readers):
        others = irn([other for place, other in enumerate(readers) if place != number])
        own = irn([reader])
        if not others or not own:
            continue
        labels = sorted({*own, *others})
        ours = shares(np.array([own.get(label, 0.0) for label in labels]), LENGTH)
        theirs = shares(np.array([others.get(label, 0.0) for label in labels]), LENGTH)
        covered = sum(weight for label, weight in others.items() if label in own)
        found.append((float(average_overlap(ours, theirs)), covered))
    return found if len(readers) > 1 else []


def bootstrap_committee(readers: Sequence[Ranking], generator: np.random.Generator) -> list[Ranking]:
    """As many readers drawn with replacement: what another committee of their kind might have said."""
    return [readers[place] for place in generator.integers(0, len(readers), len(readers))]
