"""Temperature scaling of a stated differential (Guo et al. 2017, section 4.2), fitted on other cases.

A report states probabilities, not logits: their logarithms take the place of the logits, and what the differential
leaves to all other diagnoses is one event more.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from skinr1.metrics.statistics import Array

FLOOR = 0.005  # half of a hundredth: what a stated 0 may have been
BOUND = 3.0  # largest absolute logarithm of a temperature


def events(probability: NDArray[np.uint8]) -> Array:
    """(n, ranks) hundredths -> (n, ranks + 1) probabilities that sum to 1; the last is everything not listed.

    A rank that is not used has the probability 0.
    """
    listed = probability / 100
    rest = np.maximum(1 - listed.sum(axis=1, keepdims=True), FLOOR)
    whole = np.concatenate([listed, rest], axis=1)
    return whole / whole.sum(axis=1, keepdims=True)


def scaled(whole: Array, temperature: float) -> Array:
    """Probabilities raised to 1 / temperature, normalised; 0 stays 0."""
    with np.errstate(divide="ignore"):
        logs = np.log(whole) / temperature
    powered = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powered / powered.sum(axis=1, keepdims=True)


def likelihood_loss(whole: Array, hits: NDArray[np.bool_], temperature: float) -> float:
    """Mean negative log-likelihood of the true event: the listed entries that are right, else everything not listed."""
    p = scaled(whole, temperature)
    listed = (p[:, :-1] * hits).sum(axis=1)
    true = np.where(hits.any(axis=1), listed, p[:, -1])
    return float(-np.log(np.maximum(true, FLOOR)).mean())


def fit(whole: Array, hits: NDArray[np.bool_]) -> float:
    """The temperature of least loss, between exp(-3) and exp(3)."""
    found = minimize_scalar(
        lambda log: likelihood_loss(whole, hits, float(np.exp(log))), bounds=(-BOUND, BOUND), method="bounded"
    )
    return float(np.exp(found.x))
