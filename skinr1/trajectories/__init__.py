"""Reasoning trajectories: findings of one case, grounded in the textbook, with the report they lead to."""

from skinr1.trajectories.free_text import Fault, check_text
from skinr1.trajectories.grounding import check
from skinr1.trajectories.kinds import DEFAULT_KINDS, KINDS, Refusal, trajectories
from skinr1.trajectories.model import Claim, Step, Trajectory
from skinr1.trajectories.rewriting import Rewriter, TemplateRewriter, reword

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "Claim",
    "Fault",
    "Refusal",
    "Rewriter",
    "Step",
    "TemplateRewriter",
    "Trajectory",
    "check",
    "check_text",
    "reword",
    "trajectories",
]
