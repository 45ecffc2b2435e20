"""Rewards: pure functions of a parsed answer and the truth, and their presets for TRL."""

from skinr1.rewards.presets import PRESETS, Reward, reward_functions
from skinr1.rewards.scores import Truth, condition_score, format_score, path_credit

__all__ = ["PRESETS", "Reward", "Truth", "condition_score", "format_score", "path_credit", "reward_functions"]
