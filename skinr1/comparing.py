"""Several runs on the same cases, two by two: differences with intervals, McNemar's test, permutation, Holm.

Patients are the unit of the permutation test: all cases of a patient change sides together. A metric that is no mean of
cases is worked out anew for each permutation, from the sums of the patients. McNemar's test counts cases
and takes them for independent; it is shown because readers expect it, and decides nothing.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from skinr1.errors import UserError
from skinr1.metrics import Columns
from skinr1.metrics.catalogue import Metric, Seen, catalogue
from skinr1.metrics.comparison import PERMUTATIONS, holm, mcnemar, permutation, permutation_of_sums
from skinr1.metrics.estimate import check_same_cases, resampled
from skinr1.metrics.forms import WITHOUT_ANSWERS
from skinr1.metrics.statistics import RESAMPLES, SEED, Array, Sums, cluster_sums, ratio
from skinr1.metrics.task import TaskRuns, of_task
from skinr1.metrics.tree import Tree
from skinr1.progress import progress_bar
from skinr1.taxonomy import Taxonomy

ALPHA = 0.05
COMPARED = ("top1", "hierarchical_f_by_case", "malignancy_sensitivity", "malignancy_specificity", "valid_report_rate")
LEVEL = re.compile(r"level_(\d+)_accuracy")
FEWEST, MOST = 2, 8


@dataclass(frozen=True)
class Pair:
    """One metric of one pair of runs.

    Attributes:
        difference: first minus second, with its interval.
        discordant: cases that only the first, and only the second, gets right; None for a metric that is no yes or no.
        p_mcnemar: exact and two-sided; None as above.
        p: paired permutation over patients, two-sided.
        p_holm: ``p`` adjusted by Holm over all pairs and metrics of the comparison.
    """

    first: str
    second: str
    metric: str
    difference: Mapping[str, Any]
    discordant: tuple[int, int] | None
    p_mcnemar: float | None
    p: float
    p_holm: float

    @property
    def differs(self) -> bool:
        """Whether the adjusted test shows a difference at 5 %."""
        return self.p_holm < ALPHA


def compare(
    runs: Mapping[str, Columns],
    taxonomy: Taxonomy,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
    task: TaskRuns | None = None,
) -> dict[str, Any]:
    """All runs side by side, every pair tested.

    Args:
        task: of runs of a task; then the metrics that it counts are tested, and no other.

    Raises:
        UserError: fewer than 2 or more than 8 runs, other cases, or too few permutations for that many tests.
    """
    if not FEWEST <= len(runs) <= MOST:
        raise UserError(f"{len(runs)} run(s) to compare", ", ".join(runs), f"Give {FEWEST} to {MOST}.")
    tree = Tree(taxonomy)
    metrics = {name: [*catalogue(tree), *(task.further[name] if task else ())] for name in runs}
    tested = _tested(metrics, task)
    pairs = list(itertools.combinations(runs, 2))
    if (tests := len(tested) * len(pairs)) >= ALPHA * (permutations + 1):
        least = int(tests / ALPHA)
        raise UserError("no test could show anything", f"{permutations} permutations", f"Give more than {least}.")
    seen = {name: Seen(columns, tree) for name, columns in runs.items()}
    for first, second in pairs:
        check_same_cases(runs[first], runs[second])
    drawn = {name: resampled(metrics[name], seen[name], resamples, seed) for name in runs}
    by_name = {name: {metric.name: metric for metric in own} for name, own in metrics.items()}
    found = []
    with progress_bar() as progress:
        for first, second in progress.track(pairs, description="tests"):
            differences = drawn[first].minus(drawn[second])
            for name in tested:
                if differences[name].value is not None:
                    ours, theirs = (Side(by_name[run][name], seen[run]) for run in (first, second))
                    tests_of = _tests(ours, theirs, seed, permutations)
                    found.append((first, second, name, asdict(differences[name]), *tests_of))
    adjusted = holm({str(number): row[-1] for number, row in enumerate(found)})
    made = [Pair(*row, p_holm) for row, p_holm in zip(found, adjusted.values(), strict=True)]
    some = next(iter(runs.values()))
    numbers = {name: {key: asdict(e) for key, e in drawn[name].estimates().items()} for name in runs}
    return {
        "n": len(some),
        "patients": some.patients,
        "resamples": resamples,
        "permutations": permutations,
        "seed": seed,
        "tests": len(made),
        **({"task": _of_task(task, numbers, tested)} if task else {}),
        "runs": numbers,
        "pairs": [asdict(pair) | {"differs": pair.differs} for pair in made],
    }


def _tested(metrics: Mapping[str, Sequence[Metric]], task: TaskRuns | None) -> list[str]:
    """Names of the metrics that are tested, all of which every run has."""
    first, *others = ([metric.name for metric in own] for own in metrics.values())
    if task is None:
        return [name for name in first if name in COMPARED or LEVEL.fullmatch(name)]
    shared = set(first).intersection(*others) - set(WITHOUT_ANSWERS)
    return [name for name in task.asked["metrics"] if name in shared]


def _of_task(task: TaskRuns, numbers: Mapping[str, Mapping[str, Any]], tested: Sequence[str]) -> dict[str, Any]:
    parts = {name: of_task(task.asked, found, task.unknown[name]) for name, found in numbers.items()}
    same = ("name", "version", "about")
    return {
        **{key: task.asked[key] for key in same},
        "tested": tested,
        "runs": {name: {key: part[key] for key in part if key not in same} for name, part in parts.items()},
    }


class Side(NamedTuple):
    """A metric in one run of a pair."""

    metric: Metric
    seen: Seen

    def scores(self) -> Array | None:
        """(n,) the score of every case, NaN where the metric does not concern it; None where it is no mean of such."""
        if level := LEVEL.fullmatch(self.metric.name):
            true, said = self.seen.placed.level_classes(int(level.group(1)))
            return np.where(true >= 0, (true == said).astype(np.float64), np.nan)
        counted = self.seen.counted(self.metric.statistics)
        if self.metric.value is not ratio or sparse.issparse(counted.sums):
            return None
        sums = np.asarray(counted.sums, dtype=np.float64)
        if not np.isin(sums[:, 1], (0.0, 1.0)).all():
            return None
        return np.where(counted.cases, sums[:, 0], np.nan)

    def by_patient(self) -> Sums:
        """(patients, width) what the metric sums."""
        columns = self.seen.columns
        return cluster_sums(self.seen.counted(self.metric.statistics).sums, columns.cluster.codes, columns.patients)


def _tests(
    ours: Side, theirs: Side, seed: int, permutations: int
) -> tuple[tuple[int, int] | None, float | None, float]:
    """Discordant cases and McNemar's p, None for what is no yes or no of a case; p of the permutation."""
    one, other = ours.scores(), theirs.scores()
    discordant, p_mcnemar = (None, None) if one is None or other is None else _mcnemar(one, other)
    if one is not None and other is not None and np.array_equal(np.isnan(one), np.isnan(other)):
        _, p = permutation(one, other, ours.seen.columns.cluster.codes, seed, permutations)
    else:
        _, p = permutation_of_sums(ours.metric.value, ours.by_patient(), theirs.by_patient(), seed, permutations)
    return discordant, p_mcnemar, p


def _mcnemar(one: Array, other: Array) -> tuple[tuple[int, int] | None, float | None]:
    """Discordant cases and p; None for a metric that is no yes or no."""
    both = ~(np.isnan(one) | np.isnan(other))
    if not np.isin(np.concatenate([one[both], other[both]]), (0.0, 1.0)).all():
        return None, None
    first, second, p = mcnemar(one[both] > 0.5, other[both] > 0.5)
    return (first, second), p
