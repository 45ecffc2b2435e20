"""Scores by group. Unknown is a group of its own and is never guessed into another."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from skinr1.metrics.catalogue import HIERARCHICAL_F, TOP1
from skinr1.metrics.estimate import estimates
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.taxonomy import Taxonomy

UNKNOWN = "unknown"


def skin_tone(outcome: Outcome) -> str:
    """The tone with its scale, as recorded."""
    return outcome.row.skin_tone or UNKNOWN


def diagnosis(outcome: Outcome) -> str:
    """The true node; several joined by `` | ``."""
    return " | ".join(sorted(outcome.row.diagnoses))


def by_group(
    outcomes: Sequence[Outcome],
    key: Callable[[Outcome], str],
    taxonomy: Taxonomy,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, dict[str, Any]]:
    """Group -> ``{"n", "patients", "top1", "hierarchical_f"}``, groups sorted by name, ``unknown`` last."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return {
        name: {
            "n": len(groups[name]),
            "patients": len({o.cluster for o in groups[name]}),
            **{
                metric: asdict(estimate)
                for metric, estimate in estimates(
                    (TOP1, HIERARCHICAL_F), groups[name], taxonomy, resamples, seed
                ).items()
            },
        }
        for name in sorted(groups, key=lambda name: (name == UNKNOWN, name))
    }
