"""Scores of the risk bucket, one case at a time. A case whose true bucket is unknown is outside them (None).

An invalid answer flags nothing and clears nothing: it is a miss for sensitivity and an error for specificity.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.outcomes import Outcome
from skinr1.taxonomy import Bucket, Taxonomy

Predicted = Callable[[Outcome, Taxonomy], Bucket | None]


def stated(outcome: Outcome, taxonomy: Taxonomy) -> Bucket | None:
    """The bucket the report states."""
    return outcome.predicted_condition


def of_diagnosis(outcome: Outcome, taxonomy: Taxonomy) -> Bucket | None:
    """The bucket of the diagnosis given; None when invalid or when the node's members differ in risk."""
    return taxonomy.bucket(outcome.predicted) if outcome.predicted else None


def sensitivity(outcome: Outcome, taxonomy: Taxonomy, predicted: Predicted = stated) -> float | None:
    """1 when a malignant lesion is called malignant, else 0; None when the lesion is not malignant."""
    if outcome.row.condition is not Bucket.MALIGNANT:
        return None
    return float(predicted(outcome, taxonomy) is Bucket.MALIGNANT)


def specificity(outcome: Outcome, taxonomy: Taxonomy, predicted: Predicted = stated) -> float | None:
    """1 when a lesion that is not malignant is validly called something else; None when malignant or unknown."""
    if outcome.row.condition in (None, Bucket.MALIGNANT):
        return None
    return float(outcome.answer is not None and predicted(outcome, taxonomy) is not Bucket.MALIGNANT)


def accuracy(outcome: Outcome, taxonomy: Taxonomy) -> float | None:
    """1 when the stated bucket is the true one."""
    return None if outcome.row.condition is None else float(outcome.predicted_condition is outcome.row.condition)


def confusion_counts(outcome: Outcome, taxonomy: Taxonomy) -> tuple[float, ...] | None:
    """Per bucket, in the order of ``Bucket``: true positive, false positive, false negative."""
    truth, said = outcome.row.condition, outcome.predicted_condition
    if truth is None:
        return None
    return tuple(
        float(hit)
        for bucket in Bucket
        for hit in (
            said is bucket and truth is bucket,
            said is bucket and truth is not bucket,
            said is not bucket and truth is bucket,
        )
    )


def macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean F1 over the buckets that occur in the truth.

    Args:
        sums: (..., 12) summed :func:`confusion_counts`.

    Returns:
        (...); NaN where no bucket occurs.
    """
    tp, fp, fn = np.moveaxis(sums.reshape(*sums.shape[:-1], len(Bucket), 3), -1, 0)
    occurs = tp + fn > 0
    f1 = np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros_like(tp), where=occurs)
    classes = occurs.sum(axis=-1)
    return np.divide(f1.sum(axis=-1), classes, out=np.full(classes.shape, np.nan), where=classes > 0)
