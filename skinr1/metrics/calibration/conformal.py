"""Conformal prediction sets: the listed diagnoses whose probability reaches a threshold set on other cases.

Split conformal prediction (Vovk; Angelopoulos and Bates 2021) for one label a case; Monte-Carlo (Stutz et al. 2023,
algorithm 1) where readers disagree: several labels are drawn for each case. Split guarantees coverage 1 - alpha when
calibration and test cases are exchangeable; Monte-Carlo guarantees 1 - 2 alpha.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.statistics import Array

INVALID_SCORE = -1.0  # below that of any label: no threshold above it can cover an invalid answer


def split_threshold(scores: Array, alpha: float) -> float:
    """(n,) scores of the true labels -> the floor(alpha (n + 1))-th smallest; -inf when n is too small for alpha."""
    rank = math.floor(round(alpha * (len(scores) + 1), 9))
    return float(np.sort(scores)[rank - 1]) if rank >= 1 else -math.inf


def monte_carlo_threshold(scores: Array, alpha: float) -> float:
    """(n, m) scores of m labels drawn for each case -> the (floor(alpha m (n + 1)) - m + 1)-th smallest of all."""
    n, m = scores.shape
    rank = math.floor(round(alpha * m * (n + 1), 9)) - m + 1
    return float(np.sort(scores, axis=None)[rank - 1]) if rank >= 1 else -math.inf


def p_values(scores: Array, calibration: Array) -> Array:
    """(1 + number of calibration scores <= score) / (n + 1)."""
    below = np.searchsorted(np.sort(calibration), scores, side="right")
    return (1 + below) / (len(calibration) + 1)


@dataclass(frozen=True)
class Sets:
    """What a threshold does. ``whole``: it takes in every diagnosis of the tree, listed or not."""

    coverage: float
    size: float
    empty: float
    whole: bool

    def row(self, method: str, alpha: float, threshold: float) -> dict[str, Any]:
        shown = None if math.isinf(threshold) else round(threshold, 6)
        numbers = {"coverage": round(self.coverage, 6), "size": round(self.size, 6), "empty": round(self.empty, 6)}
        return {"method": method, "alpha": alpha, "threshold": shown, "whole": self.whole, **numbers}


def sets(probability: Array, true_scores: Array, threshold: float, diagnoses: int) -> Sets:
    """Coverage and size of the sets {listed with probability >= threshold}.

    Args:
        probability: (n, ranks), 0 where nothing is listed.
        true_scores: (n, m) scores of the true label or of drawn ones; :data:`INVALID_SCORE` for invalid answers.
        diagnoses: number of labels there are: the size of a set that holds all, at a threshold of 0 or less.
    """
    covered = float((true_scores >= threshold).mean())
    if threshold <= 0:
        return Sets(covered, float(diagnoses), 0.0, True)
    size = (probability >= threshold).sum(axis=1)
    return Sets(covered, float(size.mean()), float((size == 0).mean()), False)


def drawn_scores(scores: Array, weights: Array, labels: int, seed: int) -> Array:
    """(n, k) scores and reader weights of k labels -> (n, labels) scores of labels drawn by weight."""
    generator = np.random.Generator(np.random.PCG64(seed))
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    edges[:, -1] = 1.0
    draws = generator.random((len(scores), labels))
    places = (draws[:, :, None] > edges[:, None, :]).sum(axis=2)
    return np.take_along_axis(scores, places, axis=1)


def best_listed(probability: Array, hits: NDArray[np.bool_], valid: NDArray[np.bool_]) -> Array:
    """(n,) score of the true label: the largest probability of an entry that is right, 0 when not listed."""
    return np.where(valid, (probability * hits).max(axis=1), INVALID_SCORE)
