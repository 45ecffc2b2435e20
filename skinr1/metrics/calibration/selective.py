"""Answering only when sure: risk against coverage."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from skinr1.metrics.columns import Columns
from skinr1.metrics.statistics import Array, divided

STEPS = 101


def codes(columns: Columns, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n,) code of a case among 2 x :data:`STEPS`: right, then wrong, each by its confidence in hundredths.

    A declined diagnosis is one of no confidence. An invalid answer is a wrong one of full confidence: nobody can set a
    threshold that holds it back.
    """
    level = np.where(columns.valid, np.where(columns.said >= 0, columns.probability[:, 0], 0), STEPS - 1)
    return np.where(right, level, level + STEPS).astype(np.int64)


def aurc(counts: Array) -> Array:
    """(..., 2 x STEPS) counts of :func:`codes` -> area under the risk-coverage curve (Geifman et al. 2019).

    The mean, over the k most confident cases for every k, of their error rate. Cases of equal confidence come in
    random order; the mean over all orders is meant, in closed form.
    """
    right, wrong = counts[..., :STEPS][..., ::-1], counts[..., STEPS:][..., ::-1]
    block = right + wrong
    ahead, errors = np.cumsum(block, axis=-1) - block, np.cumsum(wrong, axis=-1) - wrong
    rate = np.divide(wrong, block, out=np.zeros_like(block), where=block > 0)
    harmonic = digamma(ahead + block + 1) - digamma(ahead + 1)  # 1/(ahead + 1) + … + 1/(ahead + block)
    area = (wrong + (errors - rate * ahead) * harmonic).sum(axis=-1)
    return divided(area, block.sum(axis=-1))


def risk_coverage(counts: Array) -> list[dict[str, float]]:
    """(2 x STEPS,) counts -> error rate and share answered, when only this confidence or more is answered."""
    block, wrong = (counts[:STEPS] + counts[STEPS:])[::-1], counts[STEPS:][::-1]
    answered, errors = np.cumsum(block), np.cumsum(wrong)
    return [
        {
            "confidence": round((STEPS - 1 - int(step)) / 100, 2),
            "coverage": round(float(answered[step] / answered[-1]), 6),
            "risk": round(float(errors[step] / answered[step]), 6),
        }
        for step in np.flatnonzero(block)
    ]
