"""How near the diagnosis is to the truth in the tree, in [0, 1]; the best of several true nodes counts, none is 0."""

import math
from collections.abc import Callable

from skinr1.report import Answer
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Taxonomy


def path_credit(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """Depth of the predicted node over the length of the true path, if it lies on that path, else 0.

    Skin-R1's R_gran without its weight, with the full path as denominator (the paper's text; the released code
    divides by the deepest option offered). A sibling or a wrong branch earns 0. Ours: below a true node that is a group
    everything is right; the paper knows no such labels.
    """

    def credit(said: tuple[str, ...], true: tuple[str, ...]) -> float:
        return len(said) / len(true) if true[: len(said)] == said else 0.0

    return _best(credit, answer, truth, taxonomy)


def ancestor_f(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """F1 of the two paths as sets (Kiritchenko's hierarchical F for one pair). A sibling can beat a far ancestor."""
    return _best(lambda said, true: 2 * _shared(said, true) / (len(said) + len(true)), answer, truth, taxonomy)


def lca_depth(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """Depth of the lowest common ancestor over the depth of the truth."""
    return _best(lambda said, true: _shared(said, true) / len(true), answer, truth, taxonomy)


def distance_credit(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """exp(-d / 2), d being the edges between prediction and truth; 0 where only the root joins them."""

    def credit(said: tuple[str, ...], true: tuple[str, ...]) -> float:
        shared = _shared(said, true)
        return math.exp(-(len(said) + len(true) - 2 * shared) / 2) if shared else 0.0

    return _best(credit, answer, truth, taxonomy)


def _shared(said: tuple[str, ...], true: tuple[str, ...]) -> int:
    return sum(a == b for a, b in zip(said, true, strict=False))


def _best(
    credit: Callable[[tuple[str, ...], tuple[str, ...]], float], answer: Answer | None, truth: Truth, taxonomy: Taxonomy
) -> float:
    if answer is None or answer.report.diagnosis is None:
        return 0.0
    said = taxonomy.path(answer.report.diagnosis)
    best = 0.0
    for node in truth.diagnoses:
        true = taxonomy.path(node)
        best = max(best, credit(_coarsened(said, true), true))
    return best


def _coarsened(said: tuple[str, ...], true: tuple[str, ...]) -> tuple[str, ...]:
    """What was said as finely as the truth is known: a label on a group leaves the subtype open, so any is right."""
    return true if said[: len(true)] == true else said
