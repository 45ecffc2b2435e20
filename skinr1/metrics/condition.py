"""Scores of the risk bucket. A case whose true bucket is unknown is outside them.

An invalid answer flags nothing and clears nothing: it is a miss for sensitivity and an error for specificity.
"""

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.columns import Columns
from skinr1.metrics.statistics import Array, divided
from skinr1.metrics.tree import BUCKETS, NONE, Nodes, Tree
from skinr1.taxonomy import Bucket

BENIGN, MALIGNANT = BUCKETS.index(Bucket.BENIGN), BUCKETS.index(Bucket.MALIGNANT)
STEPS = 103  # hundredths of probability, 0 to 1, between one place below and one above them for invalid answers


def sensitivity(columns: Columns, flagged: NDArray[np.bool_]) -> Array:
    """(n,): 1 when a malignant lesion is flagged, else 0; NaN when the lesion is not malignant."""
    return np.where(columns.true_bucket == MALIGNANT, flagged & columns.valid, np.nan)


def specificity(columns: Columns, flagged: NDArray[np.bool_]) -> Array:
    """(n,): 1 when a lesion that is not malignant is validly called something else; NaN when malignant or unknown."""
    other = (columns.true_bucket != NONE) & (columns.true_bucket != MALIGNANT)
    return np.where(other, columns.valid & ~flagged, np.nan)


def stated_malignant(columns: Columns) -> NDArray[np.bool_]:
    return columns.said_bucket == MALIGNANT


def diagnosed_malignant(columns: Columns, tree: Tree) -> NDArray[np.bool_]:
    """The diagnosis lies in the malignant bucket; a node whose members differ flags nothing."""
    return tree.bucket[columns.said] == MALIGNANT


def accuracy(columns: Columns) -> Array:
    """(n,): 1 when the stated bucket is the true one; NaN where that is unknown."""
    return np.where(columns.true_bucket == NONE, np.nan, columns.said_bucket == columns.true_bucket)


def malignant_mass(columns: Columns, tree: Tree) -> NDArray[np.int64]:
    """(n,) hundredths of probability that the differential gives to malignant nodes, at most 100."""
    malignant = tree.bucket[columns.ranking] == MALIGNANT
    return np.minimum((columns.probability * malignant).sum(axis=1, dtype=np.int64), 100)


def mass_histogram(columns: Columns, tree: Tree) -> NDArray[np.int64]:
    """(n,) code of a case among 2 x :data:`STEPS`: not malignant, then malignant, each by its mass; -1 unknown.

    An invalid answer takes the worst place of its class: above all masses where there is no malignancy, below them
    where there is.
    """
    malignant = columns.true_bucket == MALIGNANT
    mass = np.where(columns.valid, 1 + malignant_mass(columns, tree), np.where(malignant, 0, STEPS - 1))
    return np.where(columns.true_bucket == NONE, NONE, mass + STEPS * malignant)


def auroc(counts: Array) -> Array:
    """(..., 2 x STEPS) counts of :func:`mass_histogram` -> area under the ROC curve, ties counted half.

    The Mann-Whitney form, exact because probabilities have two decimals. NaN without either class.
    """
    negative, positive = counts[..., :STEPS], counts[..., STEPS:]
    below = np.cumsum(negative, axis=-1) - negative
    won = (positive * (below + negative / 2)).sum(axis=-1)
    return divided(won, positive.sum(axis=-1) * negative.sum(axis=-1))


def roc(counts: Array) -> list[tuple[float, float, float]]:
    """(2 x STEPS,) counts -> (threshold, false positive rate, true positive rate), flagged at or above the threshold.

    A threshold of -0.01 or 1.01 stands for the invalid answers, see :func:`mass_histogram`.
    """
    negative, positive = counts[:STEPS], counts[STEPS:]
    if not negative.sum() or not positive.sum():
        return []
    fpr = np.cumsum(negative[::-1])[::-1] / negative.sum()
    tpr = np.cumsum(positive[::-1])[::-1] / positive.sum()
    steps = (negative + positive > 0).nonzero()[0]
    return [(round((int(step) - 1) / 100, 2), round(float(fpr[step]), 6), round(float(tpr[step]), 6)) for step in steps]


def crossings(columns: Columns, tree: Tree, nearest: Nodes) -> dict[str, Array]:
    """Direction -> (n,) whether the diagnosis crosses so; NaN where the truth does not lie on that side.

    An invalid answer crosses in every direction that it can. A declined diagnosis crosses in none: it says so.
    """
    truth, said = columns.true_bucket, tree.bucket[columns.said]
    given = columns.said >= 0
    infectious, infection_said = tree.infectious[nearest], tree.infectious[columns.said]

    def direction(side: NDArray[np.bool_], crossed: NDArray[np.bool_]) -> Array:
        return np.where(side, (given & crossed) | ~columns.valid, np.nan)

    return {
        "malignant_called_benign": direction(truth == MALIGNANT, said == BENIGN),
        "benign_called_malignant": direction(truth == BENIGN, said == MALIGNANT),
        "infectious_called_not": direction(infectious, ~infection_said),
        "not_infectious_called_so": direction(~infectious, infection_said),
    }


def safety_critical(columns: Columns, tree: Tree, nearest: Nodes) -> Array:
    """(n,): 1 when the diagnosis crosses benign/malignant or infectious/not, either way (SkinFlow's protocol)."""
    return np.nanmax(np.stack(list(crossings(columns, tree, nearest).values())), axis=0)


def confusion_codes(columns: Columns) -> list[NDArray[np.int64]]:
    """Codes of :func:`class_scores` for the buckets."""
    return class_codes(columns.true_bucket.astype(np.int64), columns.said_bucket.astype(np.int64))


def class_codes(true: NDArray[np.int64], said: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """(n,) classes -> codes 3c (right), 3c + 1 (said wrongly), 3c + 2 (missed); without a true class nothing counts."""
    known, right = true >= 0, (true == said) & (true >= 0)
    return [
        np.where(known, np.where(right, 3 * true, 3 * true + 2), NONE),
        np.where(known & ~right & (said >= 0), 3 * said + 1, NONE),
    ]


def class_scores(sums: Array) -> tuple[Array, Array]:
    """(..., 3 x classes) counts of :func:`class_codes` -> (balanced accuracy, macro-F1), each (...).

    Means over the classes that occur in the truth; NaN where none does.
    """
    by_class = sums.reshape(*sums.shape[:-1], -1, 3)
    right, wrongly, missed = by_class[..., 0], by_class[..., 1], by_class[..., 2]
    support = right + missed
    classes = (support > 0).sum(axis=-1)
    recall = np.divide(right, support, out=np.zeros_like(right), where=support > 0).sum(axis=-1)
    f1 = np.divide(2 * right, 2 * right + wrongly + missed, out=np.zeros_like(right), where=support > 0).sum(axis=-1)
    return divided(recall, classes), divided(f1, classes)
