"""Every reward by the name that recipes and logs use: one signature, in [0, 1], an invalid answer earns 0."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from skinr1.errors import UserError
from skinr1.report import Answer
from skinr1.rewards import condition, differential, hierarchy, morphology, reasoning
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Taxonomy


@dataclass(frozen=True)
class Context:
    """What a reward may look up: the tree, and for each passage that can be cited the nodes it is about."""

    taxonomy: Taxonomy
    passages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Score = Callable[[Answer | None, Truth, Context], float]


def exact(answer: Answer | None, truth: Truth, context: Context) -> float:
    """1 when the diagnosis is one of the true nodes or below one."""
    return float(hierarchy.path_credit(answer, truth, context.taxonomy) == 1)


REWARDS: dict[str, Score] = {
    "format": lambda answer, truth, context: float(answer is not None),  # Skin-R1, R_format
    "exact": exact,
    "hierarchy": lambda answer, truth, context: hierarchy.path_credit(answer, truth, context.taxonomy),
    "ancestor_f": lambda answer, truth, context: hierarchy.ancestor_f(answer, truth, context.taxonomy),
    "lca_depth": lambda answer, truth, context: hierarchy.lca_depth(answer, truth, context.taxonomy),
    "distance": lambda answer, truth, context: hierarchy.distance_credit(answer, truth, context.taxonomy),
    "condition": lambda answer, truth, context: condition.condition_score(answer, truth),
    "condition_safety": lambda answer, truth, context: condition.condition_safety(answer, truth, context.taxonomy),
    "ranked_hit": lambda answer, truth, context: differential.ranked_hit(answer, truth, context.taxonomy),
    "differential": lambda answer, truth, context: differential.differential_score(answer, truth, context.taxonomy),
    "findings": lambda answer, truth, context: morphology.findings_score(answer, truth),
    "gated_findings": lambda answer, truth, context: morphology.gated_findings(answer, truth, context.taxonomy),
    "description": lambda answer, truth, context: morphology.description_fields(answer, truth),
    "consistency": lambda answer, truth, context: reasoning.consistency(answer, context.taxonomy),
    "citations": lambda answer, truth, context: reasoning.citations_valid(answer, context.passages, context.taxonomy),
    "brevity": lambda answer, truth, context: reasoning.brevity(answer),
    "variety": lambda answer, truth, context: reasoning.variety(answer),
}


def find(name: str) -> Score:
    """A reward by name, or one's own by dotted path (``package.module.function``).

    Raises:
        UserError: no such name, module or function.
    """
    if name in REWARDS:
        return REWARDS[name]
    module, _, function = name.rpartition(".")
    if not module:
        raise UserError("unknown reward", repr(name), f"Use one of: {', '.join(REWARDS)}; or package.module.function.")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except (ImportError, TypeError) as error:  # TypeError: a path that begins with a dot
        raise UserError(f"cannot import the reward ({error})", name, "Correct the dotted path.") from None
    if not callable(found):
        raise UserError(f"{module} has no function {function!r}", name, "Correct the dotted path.")
    own: Score = found
    return own
