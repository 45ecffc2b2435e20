"""Outcomes -> the content of ``scores.json``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from skinr1.metrics import fairness
from skinr1.metrics.catalogue import catalogue
from skinr1.metrics.estimate import Estimate, estimates, paired_differences
from skinr1.metrics.hierarchy import best_truth
from skinr1.metrics.outcomes import Outcome, majority
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.taxonomy import Taxonomy

INVALID = "(invalid answer)"


def score(
    outcomes: Sequence[Outcome],
    taxonomy: Taxonomy,
    baseline: tuple[str, Sequence[Outcome]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """All scores of one run.

    Args:
        baseline: name and outcomes of another run on the same cases, for paired differences.

    Returns:
        A JSON object; every number is ``{"value", "low", "high", "n", "method"}``, differences also
        ``"excludes_zero"``.

    Raises:
        UserError: the baseline has other cases.
    """
    metrics = catalogue(taxonomy)
    constant = majority(outcomes, taxonomy)

    def against(other: Sequence[Outcome]) -> dict[str, Any]:
        found = paired_differences(metrics, outcomes, other, taxonomy, resamples, seed)
        return {name: _difference(estimate) for name, estimate in found.items()}

    def numbers(run: Sequence[Outcome]) -> dict[str, Any]:
        return {name: asdict(e) for name, e in estimates(metrics, run, taxonomy, resamples, seed).items()}

    said = constant[0].answer
    assert said is not None
    return {
        "n": len(outcomes),
        "patients": len({o.cluster for o in outcomes}),
        "resamples": resamples,
        "seed": seed,
        "metrics": numbers(outcomes),
        "invalid": dict(sorted(Counter(o.invalid.reason for o in outcomes if o.invalid).items())),
        "cut_off": sum(o.row.finish_reason == "length" for o in outcomes),
        "inconsistent": sum(bool(o.faults) for o in outcomes),
        "inconsistencies": dict(sorted(Counter(fault for o in outcomes for fault in o.faults).items())),
        "majority_class": {
            "diagnosis": said.report.diagnosis,
            "condition": said.report.condition,
            "n": len(outcomes),
            "metrics": numbers(constant),
            "paired": against(constant),
        },
        "paired": {"baseline": baseline[0], "metrics": against(baseline[1])} if baseline else None,
        "by_tone": fairness.by_group(outcomes, fairness.skin_tone, taxonomy, resamples, seed),
        "by_diagnosis": fairness.by_group(outcomes, fairness.diagnosis, taxonomy, resamples, seed),
        "confusion": confusion(outcomes, taxonomy),
    }


def confusion(outcomes: Sequence[Outcome], taxonomy: Taxonomy, level: int = 2) -> dict[str, Any]:
    """Counts of true group x predicted group at one level of the tree; invalid answers have a column.

    A node above the level stands for itself. Of several true nodes the one nearest to the prediction counts.
    """

    def group(node: str | None) -> str:
        return INVALID if node is None else taxonomy.path(node)[:level][-1]

    cells = Counter((group(best_truth(o, taxonomy)), group(o.predicted)) for o in outcomes)
    rows = sorted({row for row, _ in cells})
    columns = [*sorted({*rows, *(column for _, column in cells)} - {INVALID}), INVALID]
    counts = [[cells[row, column] for column in columns] for row in rows]
    return {"level": level, "rows": rows, "columns": columns, "counts": counts}


def _difference(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.low, estimate.high
    return {**asdict(estimate), "excludes_zero": low is not None and high is not None and (low > 0 or high < 0)}
