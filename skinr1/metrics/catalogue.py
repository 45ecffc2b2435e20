"""Every metric by name: what it sums over cases, and what it makes of the sums."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from skinr1.metrics import condition, hierarchy
from skinr1.metrics.outcomes import Outcome
from skinr1.metrics.statistics import Array, ratio
from skinr1.taxonomy import Taxonomy

Statistics = Callable[[Outcome, Taxonomy], tuple[float, ...] | None]


@dataclass(frozen=True)
class Metric:
    """A function of sums.

    Attributes:
        statistics: the case's contribution, ``width`` numbers; None when the metric does not concern the case.
        value: (..., width) sums -> (...) values, NaN where undefined.
        bounded: lies in [0, 1]. Such a mean spreads no more than a share does, so that Wilson's interval is a safe
            stand-in where resampling sees no spread at all.
    """

    name: str
    statistics: Statistics
    value: Callable[[Array], Array] = ratio
    width: int = 2
    bounded: bool = True


def mean(name: str, score: Callable[[Outcome, Taxonomy], float | None], bounded: bool = True) -> Metric:
    """The mean of a per-case score over the cases that have one."""

    def statistics(outcome: Outcome, taxonomy: Taxonomy) -> tuple[float, float] | None:
        number = score(outcome, taxonomy)
        return None if number is None else (number, 1.0)

    return Metric(name, statistics, bounded=bounded)


def hierarchical(name: str, value: Callable[[Array], Array]) -> Metric:
    return Metric(name, hierarchy.ancestor_counts, value, width=3)


def _precision(sums: Array) -> Array:
    return ratio(sums[..., [0, 1]])


def _recall(sums: Array) -> Array:
    return ratio(sums[..., [0, 2]])


def _f(sums: Array) -> Array:
    halves = sums.copy()
    halves[..., 1] = (sums[..., 1] + sums[..., 2]) / 2
    return ratio(halves[..., [0, 1]])


VALID = mean("valid_report_rate", lambda o, tree: float(o.answer is not None))
TOP1 = mean("top1", hierarchy.top1)
HIERARCHICAL_F = hierarchical("hierarchical_f", _f)
SENSITIVITY = mean("malignancy_sensitivity", condition.sensitivity)

# The headline: name -> what people read.
HEADLINE = {
    VALID.name: "valid reports",
    TOP1.name: "top-1",
    HIERARCHICAL_F.name: "hierarchical F",
    SENSITIVITY.name: "malignancy sensitivity",
}


def catalogue(taxonomy: Taxonomy) -> tuple[Metric, ...]:
    """All metrics; one level accuracy for each level of the tree."""
    by_diagnosis = condition.of_diagnosis
    return (
        VALID,
        TOP1,
        hierarchical("hierarchical_precision", _precision),
        hierarchical("hierarchical_recall", _recall),
        HIERARCHICAL_F,
        mean("hierarchical_f_by_case", hierarchy.case_f),
        mean("depth_credit", hierarchy.depth_credit),
        mean("tree_distance", hierarchy.tree_distance, bounded=False),
        *(
            mean(f"level_{level}_accuracy", partial(hierarchy.level_hit, level=level))
            for level in range(1, hierarchy.tree_depth(taxonomy) + 1)
        ),
        SENSITIVITY,
        mean("malignancy_specificity", condition.specificity),
        mean("malignancy_sensitivity_by_diagnosis", partial(condition.sensitivity, predicted=by_diagnosis)),
        mean("malignancy_specificity_by_diagnosis", partial(condition.specificity, predicted=by_diagnosis)),
        mean("condition_accuracy", condition.accuracy),
        Metric("condition_macro_f1", condition.confusion_counts, condition.macro_f1, width=12),
    )
