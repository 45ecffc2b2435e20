"""Rewards: pure functions of a parsed answer and the truth, their weights, and TRL's signature around them."""

from skinr1.rewards.catalogue import REWARDS, Context
from skinr1.rewards.presets import PRESETS, total, weights
from skinr1.rewards.trl import reward_functions
from skinr1.rewards.truth import Truth

__all__ = ["PRESETS", "REWARDS", "Context", "Truth", "reward_functions", "total", "weights"]
