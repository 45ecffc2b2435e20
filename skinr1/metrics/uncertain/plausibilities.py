"""Plausible truths: samples of label weights around what the readers said, and how certain the label is."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics.statistics import Array

ALPHA = 0.01
RELIABILITIES = (1, 3, 5, 10, 20, 30, 50)
LARGEST_TIE = 7  # 5,040 orders of a block are enumerated; more readers' ties than that are not plausible
RATE_FLOOR = 1e-6


def prirn(weights: Array, reliability: float, samples: int, seed: int) -> Array:
    """Probabilistic IRN: Dirichlet(reliability * weights + 0.01).

    Args:
        weights: (..., labels) from IRN; a weight of 0 is no label and never drawn.
        reliability: how many readers the weights are worth.

    Returns:
        (samples, ..., labels) plausible weights, each summing to 1.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    shape = np.where(weights > 0, reliability * weights + ALPHA, 0.0)
    # Gammas of tiny shape underflow; the logarithm of Gamma(a) is that of Gamma(a + 1) plus log(U) / a.
    with np.errstate(divide="ignore"):
        logs = np.log(generator.standard_gamma(shape + 1, (samples, *shape.shape)))
        logs += np.where(shape > 0, np.log(generator.random(logs.shape)) / np.maximum(shape, ALPHA), -np.inf)
    largest = logs.max(axis=-1, keepdims=True)
    drawn = np.exp(logs - np.where(np.isfinite(largest), largest, 0.0))  # without any label all are 0
    return drawn / np.maximum(drawn.sum(axis=-1, keepdims=True), np.finfo(float).tiny)


def certainty(samples: Array) -> Array:
    """(samples, ..., labels) -> (..., labels): how often each label is the most plausible one."""
    first = samples.argmax(axis=-1)
    return np.stack([(first == label).mean(axis=0) for label in range(samples.shape[-1])], axis=-1)


def plackett_luce(
    readers: Sequence[Sequence[Sequence[int]]],
    labels: int,
    samples: int,
    seed: int | Sequence[int],
    repeats: int = 1,
    warm_up: int = 100,
    prior: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """Posterior of Plackett-Luce weights given partial rankings with ties, by Gibbs sampling.

    Caron and Doucet 2012, with tied blocks ordered by their likelihood (Stutz et al. 2023, appendix).

    Args:
        readers: for each reader blocks of tied labels, numbers below ``labels``; what is left out ranks last.
        repeats: how often each reader is counted: their reliability.
        prior: shape and rate of each weight's Gamma prior.

    Returns:
        (samples, labels), each summing to 1.

    Raises:
        ValueError: a block of more than 7 tied labels.
    """
    if any(len(block) > LARGEST_TIE for blocks in readers for block in blocks):
        raise ValueError(f"more than {LARGEST_TIE} labels are tied")
    generator = np.random.Generator(np.random.PCG64(seed))
    shape, rate = prior
    weights = np.ones(labels)
    kept = np.empty((samples, labels))
    for step in range(warm_up + samples):
        arrivals = np.zeros(labels)
        for blocks in readers:
            orders = _full_orders(blocks, weights, repeats, generator)
            ordered = weights[orders]
            rates = np.maximum(weights.sum() - (np.cumsum(ordered, axis=1) - ordered), RATE_FLOOR)
            times = np.cumsum(generator.standard_exponential(orders.shape) / rates, axis=1)
            arrivals += np.bincount(orders.ravel(), weights=times.ravel(), minlength=labels)
        weights = generator.standard_gamma(shape + repeats * len(readers), labels) / (rate + arrivals)
        weights = np.maximum(weights, RATE_FLOOR)
        if step >= warm_up:
            kept[step - warm_up] = weights / weights.sum()
    return kept


def _full_orders(
    blocks: Sequence[Sequence[int]], weights: Array, count: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """(count, labels) whole rankings that agree with the blocks, drawn by their likelihood under the weights."""
    left = set(range(len(weights)))
    parts = []
    for block in blocks:
        left -= set(block)
        parts.append(_tied(list(block), float(weights[sorted(left)].sum()), weights, count, generator))
    tail = np.array(sorted(left), dtype=np.intp)
    keys = generator.standard_exponential((count, len(tail))) / np.maximum(weights[tail], RATE_FLOOR)
    return np.concatenate([*parts, tail[np.argsort(keys, axis=1)]], axis=1)


def _tied(
    block: list[int], behind: float, weights: Array, count: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """(count, tied) orders of tied labels, drawn by their Plackett-Luce likelihood before all that is behind."""
    if len(block) == 1:
        return np.full((count, 1), block[0], dtype=np.intp)
    orders = np.array(list(permutations(block)), dtype=np.intp)
    remaining = np.cumsum(weights[orders][:, ::-1], axis=1)[:, ::-1] + behind
    logs = (np.log(weights[orders]) - np.log(np.maximum(remaining, RATE_FLOOR))).sum(axis=1)
    chances = np.exp(logs - logs.max())
    return orders[generator.choice(len(orders), size=count, p=chances / chances.sum())]
