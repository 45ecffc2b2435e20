"""Reasoning trajectories: findings of one case, grounded in the textbook, with the report they lead to."""

from skinr1.trajectories.grounding import check
from skinr1.trajectories.kinds import KINDS, Refusal, trajectories
from skinr1.trajectories.model import Claim, Step, Trajectory
from skinr1.trajectories.rewriting import OpenAIRewriter, Rewriter, TemplateRewriter, reword

__all__ = [
    "KINDS",
    "Claim",
    "OpenAIRewriter",
    "Refusal",
    "Rewriter",
    "Step",
    "TemplateRewriter",
    "Trajectory",
    "check",
    "reword",
    "trajectories",
]
