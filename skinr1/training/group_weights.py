"""Group-aware advantages: groups that earn less weigh more (group DRO).

Sagawa et al., Distributionally Robust Neural Networks (ICLR 2020), algorithm 1: each group's weight grows
exponentially with its loss and the weights are normalised. Here a loss is what is missing to the highest reward, and
what is weighted is the advantage of a completion.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.stage import canonical_json, write_atomic

UNKNOWN = "unknown"
FILE = "group_weights.json"
FASTEST = 100  # a step would then make a group's weight e^100 of another's


def group_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """A row's group: its values in ``columns``; rows without a value form a group of their own."""
    return " × ".join(UNKNOWN if row.get(column) is None else str(row[column]) for column in columns)


def shares(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, float]:
    """Group -> its share of the training rows.

    Raises:
        UserError: there is but one group, so nothing can be reweighted.
    """
    counts = Counter(group_of(row, columns) for row in rows)
    if len(counts) < 2:
        raise UserError(
            f"only one group ({', '.join(counts)})", f"columns {', '.join(columns)}", "Leave group_columns out."
        )
    return {group: counts[group] / counts.total() for group in sorted(counts)}


def updated(weights: Mapping[str, float], losses: Mapping[str, float], rate: float, floor: float) -> dict[str, float]:
    """One step of group DRO.

    Args:
        weights: group -> weight; they add up to 1.
        losses: group -> mean loss in [0, 1]; a group without a sample in this batch, or with a loss that is no number,
            keeps its weight relative to the others.
        rate: step size.
        floor: least weight of a group, as a share of the uniform weight 1/G; in [0, 1]. With 0 a group can be lost.

    Returns:
        New weights, each at least ``floor / G``; they add up to 1.
    """
    known = {group: loss for group, loss in losses.items() if math.isfinite(loss)}
    # the mean loss stands for the absent: a group is not to gain by being rare
    usual = sum(known.values()) / len(known) if known else 0.0
    grown = {group: weight * math.exp(rate * known.get(group, usual)) for group, weight in weights.items()}
    total = sum(grown.values())
    return {group: floor / len(grown) + (1 - floor) * weight / total for group, weight in grown.items()}


class GroupWeights:
    """Weights of the groups over a training run. With ``rate`` 0 every group counts the same, whatever its size."""

    def __init__(self, share: Mapping[str, float], rate: float, floor: float):
        if not 0 <= rate <= FASTEST or not 0 <= floor <= 1:
            raise UserError(
                f"group_rate must be in [0, {FASTEST}], group_floor in [0, 1]",
                f"{rate}, {floor}",
                "Correct the recipe.",
            )
        self.share, self.rate, self.floor = dict(share), rate, floor
        self.weights = dict.fromkeys(share, 1 / len(share))

    def observe(self, groups: Sequence[str], rewards: Sequence[float], highest: float) -> None:
        """Takes in the rewards of a batch, of all processes; ``highest`` is the reward of a perfect answer.

        Where that is 0, every reward being a metric, nothing is learned of the groups.
        """
        found: dict[str, list[float]] = defaultdict(list)
        for group, reward in zip(groups, rewards, strict=True):
            if math.isfinite(reward) and highest > 0:
                found[group].append(min(1.0, max(0.0, 1 - reward / highest)))
        losses = {group: sum(values) / len(values) for group, values in found.items()}
        self.weights = updated(self.weights, losses, self.rate, self.floor)

    def of(self, group: str) -> float:
        """Factor of a completion's advantage; over the training rows the factors' mean is 1."""
        return self.weights[group] / self.share[group]

    def save(self, folder: Path) -> None:
        write_atomic(folder / FILE, canonical_json(self.weights))

    def load(self, folder: Path) -> None:
        """Raises UserError when the checkpoint holds no weights of these groups."""
        path = folder / FILE
        if not path.is_file():
            raise UserError("the checkpoint has no group weights", str(path), "Resume with the recipe that wrote it.")
        weights = json.loads(path.read_text(encoding="utf-8"))
        if weights.keys() != self.weights.keys():
            raise UserError("group weights of other groups", str(path), "Resume with the data that it was trained on.")
        self.weights = weights
