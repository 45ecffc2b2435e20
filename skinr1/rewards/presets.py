"""Weights of named rewards. "-style" means: after the idea of a paper whose coefficients are unpublished."""

import math
from collections.abc import Mapping

from skinr1.errors import UserError
from skinr1.report import Answer
from skinr1.rewards.catalogue import Context, find
from skinr1.rewards.truth import Truth

PRESETS: dict[str, dict[str, float]] = {
    # Skin-R1: R = R_format + 0.75 i*/L + 0.25 [condition right]; at most 2. As published, the condition is paid for
    # whatever the diagnosis. Ours alone: a label on a group leaves the subtype open, so anything below it is right.
    "skin_r1": {"format": 1.0, "hierarchy": 0.75, "condition": 0.25},
    # Of its ablation: the "standard" reward, right or wrong.
    "binary": {"format": 1.0, "exact": 1.0},
    # Ours. What a missed malignancy costs outweighs a level of the tree; a list is scored by a proper rule; a reasoning
    # that concludes something else or does not mention the findings, passages invented or off topic, and padding cost.
    "safe": {
        "format": 1.0,
        "hierarchy": 0.75,
        "condition_safety": 0.5,
        "differential": 0.25,
        "consistency": 0.25,
        "citations": 0.1,
        "variety": 0.1,
        "brevity": 0.05,
    },
    # After MAVIC (DermoGPT): diagnosis, closeness in the tree, morphology where the branch is right, format. Closeness
    # is the depth of the lowest common ancestor, so a sibling earns what its parent earns.
    "mavic_style": {"exact": 1.0, "lca_depth": 0.5, "gated_findings": 0.5, "format": 0.1},
    # After SkinFlow: a first stage that learns to describe, a second that learns to rank.
    "skinflow_style_stage_1": {"format": 1.0, "description": 1.0},
    "skinflow_style_stage_2": {"format": 1.0, "ranked_hit": 1.0},
}


def weights(preset: str, changes: Mapping[str, float] | None = None) -> dict[str, float]:
    """Name -> weight of a preset with changes laid over it; weight 0 makes a reward a metric.

    Raises:
        UserError: no such preset, or a weight is no number.
    """
    if preset not in PRESETS:
        raise UserError("unknown reward preset", repr(preset), f"Use one of: {', '.join(PRESETS)}.")
    for name, weight in (changes or {}).items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise UserError(f"weight of reward {name!r} is no number", repr(weight), "Write `name: 0.5`.")
    return {**PRESETS[preset], **{name: float(weight) for name, weight in (changes or {}).items()}}


def total(answer: Answer | None, truth: Truth, context: Context, preset: str = "safe") -> float:
    """Weighted sum of a preset for one answer."""
    return sum(weight * find(name)(answer, truth, context) for name, weight in weights(preset).items())
