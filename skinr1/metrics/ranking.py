"""The ranked list of diagnoses: the leading one, then its rivals. Invalid answers rank nothing and score 0."""

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.statistics import Array


def top_k(hits: NDArray[np.bool_], k: int) -> Array:
    """(n, ranks) hits -> (n,): 1 when one of the first ``k`` entries is right."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def reciprocal_rank(hits: NDArray[np.bool_]) -> Array:
    """(n, ranks) -> (n,): 1 / rank of the first right entry, 0 without one; its mean is the MRR."""
    return np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)


def average_overlap(places: Array, reference: Array) -> Array:
    """Average overlap of two rankings with ties, normalised so that a ranking agrees with itself fully.

    AO(a, b) = U(a, b) / sqrt(U(a, a) U(b, b)), U(a, b) = 1/L sum_k |top_k(a) & top_k(b)| / k over k <= L, where a tied
    label is in top_k with the share of its block's places that lie there (Stutz et al. 2023, section 4).

    Args:
        places: (..., labels, L): the share of each place that a label takes; see :func:`shares`.
        reference: the same of the other ranking.

    Returns:
        (...); 0 where either ranking is empty.
    """
    ours, theirs = np.cumsum(places, axis=-1), np.cumsum(reference, axis=-1)
    own = np.sqrt(_overlap(ours, ours) * _overlap(theirs, theirs))
    return np.divide(_overlap(ours, theirs), own, out=np.zeros_like(own), where=own > 0)


def expected_overlap(places: Array, shares_of_samples: Array, labels: NDArray[np.int64]) -> Array:
    """The mean of :func:`average_overlap` over samples of a reference without ties that ranks all its labels.

    Such references all agree with themselves equally, and the overlap is linear in the shares of places; so their mean
    shares say as much as all of them.

    Args:
        shares_of_samples: (..., labels, L) mean of the samples' shares.
        labels: (...) how many labels every sample ranks.
    """
    ours, theirs = np.cumsum(places, axis=-1), np.cumsum(shares_of_samples, axis=-1)
    ranks = np.arange(1, places.shape[-1] + 1)
    itself = (np.minimum(ranks, labels[..., None]) / ranks).mean(axis=-1)
    own = np.sqrt(_overlap(ours, ours) * itself)
    return np.divide(_overlap(ours, theirs), own, out=np.zeros_like(own), where=own > 0)


def _overlap(a: Array, b: Array) -> Array:
    length = a.shape[-1]
    return ((a * b).sum(axis=-2) / np.arange(1, length + 1)).mean(axis=-1)


def shares(scores: Array, length: int) -> Array:
    """Labels' scores -> the share of each place that a label takes; equal scores share their places evenly.

    Args:
        scores: (..., labels); a score of 0 or less is not ranked.

    Returns:
        (..., labels, length)
    """
    better = (scores[..., None, :] > scores[..., :, None]).sum(axis=-1)  # labels before it
    tied = (scores[..., None, :] == scores[..., :, None]).sum(axis=-1)
    place = np.arange(length)
    inside = (place >= better[..., None]) & (place < (better + tied)[..., None])
    return np.where(inside & (scores > 0)[..., None], 1 / np.maximum(1, tied)[..., None], 0.0)
