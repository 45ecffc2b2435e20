"""Every metric by name: what it sums over cases, and what it makes of the sums."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from skinr1.metrics import condition, morphology, ranking
from skinr1.metrics.calibration import reliability, selective
from skinr1.metrics.columns import RANKS, Columns
from skinr1.metrics.condition import class_codes, class_scores
from skinr1.metrics.hierarchy import Placed
from skinr1.metrics.statistics import Array, Sums, one_hot, ratio
from skinr1.metrics.tree import NONE, Tree
from skinr1.metrics.uncertain.adjusted import Met


@dataclass(frozen=True)
class Seen:
    """A run as the metrics see it: its columns, and what several of them need."""

    columns: Columns
    tree: Tree

    def counted(self, statistics: "Statistics") -> "Counted":
        """What a metric sums, kept: groups are made of the same cases time and again."""
        if statistics not in self._kept:
            self._kept[statistics] = statistics(self)
        return self._kept[statistics]

    @cached_property
    def _kept(self) -> "dict[Statistics, Counted]":
        return {}

    @cached_property
    def placed(self) -> Placed:
        return Placed(self.columns, self.tree)

    @cached_property
    def met(self) -> Met:
        return Met.of(self.columns, self.tree)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(n,) the diagnosis is a true node or below one."""
        return self.placed.hits[:, 0]

    @cached_property
    def silent(self) -> NDArray[np.bool_]:
        """(n,) without a diagnosis, invalid or declined."""
        return self.columns.said == NONE


@dataclass(frozen=True)
class Counted:
    """(n, width) contributions of cases to the sums, and (n,) which cases the metric concerns."""

    sums: Sums
    cases: NDArray[np.bool_]


Statistics = Callable[[Seen], Counted]


@dataclass(frozen=True)
class Metric:
    """A function of sums.

    Attributes:
        statistics: contributions of the cases. Metrics with the same function share its sums.
        value: (..., width) sums -> (...) values, NaN where undefined.
        bounded: lies in [0, 1]. Such a mean spreads no more than a share does, so that Wilson's interval is a safe
            stand-in where resampling sees no spread at all.
        higher: a higher value is better.
    """

    name: str
    statistics: Statistics
    value: Callable[[Array], Array] = ratio
    bounded: bool = True
    higher: bool = True


def mean(name: str, score: Callable[[Seen], Array], bounded: bool = True, higher: bool = True) -> Metric:
    """The mean of a per-case score over the cases that have one (those that are not NaN)."""

    def statistics(seen: Seen) -> Counted:
        numbers = np.asarray(score(seen), dtype=np.float64)
        has = ~np.isnan(numbers)
        return Counted(np.stack([np.where(has, numbers, 0.0), has], axis=1).astype(np.float64), has)

    return Metric(name, statistics, bounded=bounded, higher=higher)


def _everyone(seen: Seen) -> NDArray[np.bool_]:
    return np.ones(len(seen.columns), dtype=bool)


def _precision(sums: Array) -> Array:
    return ratio(sums[..., [0, 1]])


def _recall(sums: Array) -> Array:
    return ratio(sums[..., [0, 2]])


def _f(sums: Array) -> Array:
    halves = sums.copy()
    halves[..., 1] = (sums[..., 1] + sums[..., 2]) / 2
    return ratio(halves[..., [0, 1]])


def _ancestors(seen: Seen) -> Counted:
    return Counted(seen.placed.ancestor_counts, _everyone(seen))


def _signs(seen: Seen) -> Counted:
    return Counted(morphology.set_counts(seen.columns), morphology.annotated(seen.columns))


def _fields(seen: Seen) -> Counted:
    counts = morphology.field_counts(seen.columns)
    return Counted(counts, counts[:, 1] > 0)


def _level(level: int, seen: Seen) -> Counted:
    """Right, wrongly said and missed cases of each class of a level."""
    true, said = seen.placed.level_classes(level)
    return Counted(one_hot(class_codes(true, said), 3 * seen.tree.classes(level)), true >= 0)


def _buckets(seen: Seen) -> Counted:
    codes = condition.confusion_codes(seen.columns)
    return Counted(one_hot(codes, 3 * len(condition.BUCKETS)), codes[0] >= 0)


def masses(seen: Seen) -> Counted:
    """Cases by probability of malignancy, as :func:`skinr1.metrics.condition.mass_histogram` codes them."""
    code = condition.mass_histogram(seen.columns, seen.tree)
    return Counted(one_hot([code], 2 * condition.STEPS), code >= 0)


def confidences(seen: Seen) -> Counted:
    """Cases by confidence and correctness, as :func:`skinr1.metrics.calibration.selective.codes` does."""
    return Counted(one_hot([selective.codes(seen.columns, seen.right)], 2 * selective.STEPS), _everyone(seen))


def _gaps(seen: Seen) -> Counted:
    given = reliability.confidence(seen.columns)
    return Counted(reliability.gaps(given, seen.right, seen.silent), _everyone(seen))


def _accuracy(sums: Array) -> Array:
    """Right over all cases with a class, from the counts of classes."""
    by_class = sums.reshape(*sums.shape[:-1], -1, 3).sum(axis=-2)
    return ratio(np.stack([by_class[..., 0], by_class[..., 0] + by_class[..., 2]], axis=-1))


def _balanced(sums: Array) -> Array:
    return class_scores(sums)[0]


def _macro_f1(sums: Array) -> Array:
    return class_scores(sums)[1]


def _top(k: int, seen: Seen) -> Array:
    return ranking.top_k(seen.placed.hits, k)


def _coverage(k: int, seen: Seen) -> Array:
    return seen.met.coverage(k)


def _stated(score: Callable[[Columns, NDArray[np.bool_]], Array], seen: Seen) -> Array:
    return score(seen.columns, condition.stated_malignant(seen.columns))


def _diagnosed(score: Callable[[Columns, NDArray[np.bool_]], Array], seen: Seen) -> Array:
    return score(seen.columns, condition.diagnosed_malignant(seen.columns, seen.tree))


def _crossing(direction: str, seen: Seen) -> Array:
    return condition.crossings(seen.columns, seen.tree, seen.placed.nearest)[direction]


VALID = mean("valid_report_rate", lambda seen: seen.columns.valid.astype(np.float64))
DIAGNOSED = mean("diagnosis_given_rate", lambda seen: (~seen.silent).astype(np.float64))
TOP1 = mean("top1", partial(_top, 1))
HIERARCHICAL_F = Metric("hierarchical_f", _ancestors, _f)
SENSITIVITY = mean("malignancy_sensitivity", partial(_stated, condition.sensitivity))
SPECIFICITY = mean("malignancy_specificity", partial(_stated, condition.specificity))
SAFETY = mean(
    "safety_critical_error",
    lambda seen: condition.safety_critical(seen.columns, seen.tree, seen.placed.nearest),
    higher=False,
)
ECE = Metric("ece", _gaps, reliability.ece, higher=False)
BRIER = mean("brier", lambda seen: reliability.brier(reliability.confidence(seen.columns), seen.right), higher=False)

# The headline: name -> what people read.
HEADLINE = {
    VALID.name: "valid reports",
    TOP1.name: "top-1",
    HIERARCHICAL_F.name: "hierarchical F",
    SENSITIVITY.name: "malignancy sensitivity",
}


def level_metrics(level: int) -> tuple[Metric, Metric, Metric]:
    """Accuracy, balanced accuracy and macro-F1 at one level of the tree (1 = top)."""
    counts = partial(_level, level)
    return (
        Metric(f"level_{level}_accuracy", counts, _accuracy),
        Metric(f"level_{level}_balanced_accuracy", counts, _balanced),
        Metric(f"level_{level}_macro_f1", counts, _macro_f1),
    )


def catalogue(tree: Tree) -> tuple[Metric, ...]:
    """All metrics of a run, in the order people read them."""
    return (
        VALID,
        DIAGNOSED,
        TOP1,
        *(mean(f"top{k}", partial(_top, k)) for k in range(2, RANKS + 1)),
        mean("mrr", lambda seen: ranking.reciprocal_rank(seen.placed.hits)),
        Metric("hierarchical_precision", _ancestors, _precision),
        Metric("hierarchical_recall", _ancestors, _recall),
        HIERARCHICAL_F,
        mean("hierarchical_f_by_case", lambda seen: seen.placed.case_f()),
        mean("depth_credit", lambda seen: seen.placed.depth_credit()),
        mean("tree_distance", lambda seen: seen.placed.tree_distance(), bounded=False, higher=False),
        *(metric for level in range(1, tree.levels + 1) for metric in level_metrics(level)),
        SENSITIVITY,
        SPECIFICITY,
        mean("malignancy_sensitivity_by_diagnosis", partial(_diagnosed, condition.sensitivity)),
        mean("malignancy_specificity_by_diagnosis", partial(_diagnosed, condition.specificity)),
        Metric("malignancy_auroc", masses, condition.auroc),
        mean("condition_accuracy", lambda seen: condition.accuracy(seen.columns)),
        Metric("condition_balanced_accuracy", _buckets, _balanced),
        Metric("condition_macro_f1", _buckets, _macro_f1),
        SAFETY,
        *(
            mean(name, partial(_crossing, name), higher=False)
            for name in (
                "malignant_called_benign",
                "benign_called_malignant",
                "infectious_called_not",
                "not_infectious_called_so",
            )
        ),
        ECE,
        BRIER,
        Metric("aurc", confidences, selective.aurc, higher=False),
        *(mean(f"aggregated_coverage_top{k}", partial(_coverage, k)) for k in (1, 3, 6)),
        mean("average_overlap", lambda seen: seen.met.overlap()),
        mean("findings_f1", lambda seen: morphology.set_f1(seen.columns)),
        Metric("findings_precision", _signs, _precision),
        Metric("findings_recall", _signs, _recall),
        mean("findings_contradicted", lambda seen: morphology.contradicted(seen.columns), higher=False),
        Metric("checklist_field_accuracy", _fields, ratio),
        mean("checklist_suspicious_agreement", lambda seen: morphology.suspicious_agreement(seen.columns)),
        mean("text_consistency", lambda seen: seen.columns.consistency.astype(np.float64)),
    )


GROUP_METRICS = (VALID, TOP1, HIERARCHICAL_F, SENSITIVITY, SPECIFICITY, SAFETY, ECE, BRIER)
