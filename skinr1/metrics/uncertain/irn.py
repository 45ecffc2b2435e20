"""Inverse rank normalisation: several readers' rankings -> one weight a label.

Stutz et al. 2023, "Conformal prediction under ambiguous ground truth"; the weighted labels of SCIN (Ward et al. 2024).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal

Ranking = Sequence[Sequence[str]]  # blocks of tied labels, the best block first
Ties = Literal["block", "mean"]


def irn(readers: Sequence[Ranking], ties: Ties = "block") -> dict[str, float]:
    """Label -> weight, summing to 1; empty when no reader ranked anything.

    Args:
        ties: what a tied label gets. ``block``: 1 / (1 + number of the block), as in the paper's code. ``mean``: the
            mean of 1 / rank over the places that the block takes, as SCIN's ``weighted_skin_condition_label`` does.

    Raises:
        ValueError: a reader ranks a label twice.
    """
    weights: dict[str, float] = {}
    for blocks in readers:
        labels = [label for block in blocks for label in block]
        if len(set(labels)) < len(labels):
            raise ValueError("a reader ranks a label twice")
        place = 0
        for number, block in enumerate(blocks):
            places = range(place + 1, place + len(block) + 1)
            share = 1 / (1 + number) if ties == "block" else sum(1 / p for p in places) / max(1, len(block))
            for label in block:
                weights[label] = weights.get(label, 0.0) + share
            place += len(block)
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def by_confidence(names: Sequence[str], confidences: Sequence[float]) -> list[list[str]]:
    """One reader's labels as blocks, the most confident first; equal confidence is a tie."""
    levels = sorted(set(confidences), reverse=True)
    return [[n for n, c in zip(names, confidences, strict=True) if c == level] for level in levels]


def committees(names: Sequence[str], confidences: Sequence[float], readers: int) -> list[list[list[list[str]]]]:
    """Every way to cut a pooled list into ``readers`` consecutive readers, none of whom names a label twice.

    SCIN prints the labels of up to three readers one after another without saying where one ends.
    """
    found = []
    for cuts in combinations(range(1, len(names)), readers - 1):
        edges = [0, *cuts, len(names)]
        parts = [(names[a:b], confidences[a:b]) for a, b in pairwise(edges)]
        if all(len(set(part)) == len(part) for part, _ in parts):
            found.append([by_confidence(*part) for part in parts])
    return found


def largest_difference(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The largest difference of two weightings over the labels of either; a label that one lacks weighs 0 there."""
    return max((abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in {*one, *other}), default=0.0)
