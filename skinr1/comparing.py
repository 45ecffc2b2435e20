"""Several runs on the same cases, two by two: differences with intervals, McNemar's test, permutation, Holm.

Patients are the unit of the permutation test: all cases of a patient change sides together. McNemar's test counts cases
and takes them for independent; it is shown because readers expect it, and decides nothing.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from skinr1.errors import UserError
from skinr1.metrics import Columns, estimates, paired_differences
from skinr1.metrics.catalogue import Metric, Seen, catalogue
from skinr1.metrics.comparison import PERMUTATIONS, holm, mcnemar, permutation
from skinr1.metrics.statistics import RESAMPLES, SEED, Array
from skinr1.metrics.tree import Tree
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
) -> dict[str, Any]:
    """All runs side by side, every pair tested.

    Raises:
        UserError: fewer than 2 or more than 8 runs, other cases, or too few permutations for that many tests.
    """
    if not FEWEST <= len(runs) <= MOST:
        raise UserError(f"{len(runs)} run(s) to compare", ", ".join(runs), f"Give {FEWEST} to {MOST}.")
    tree = Tree(taxonomy)
    metrics = catalogue(tree)
    tested = [metric for metric in metrics if metric.name in COMPARED or LEVEL.fullmatch(metric.name)]
    tests = len(tested) * len(runs) * (len(runs) - 1) // 2
    if tests >= ALPHA * (permutations + 1):
        least = int(tests / ALPHA)
        raise UserError("no test could show anything", f"{permutations} permutations", f"Give more than {least}.")
    seen = {name: Seen(columns, tree) for name, columns in runs.items()}
    found = []
    for (first, ours), (second, theirs) in itertools.combinations(seen.items(), 2):
        differences = paired_differences(tested, ours, theirs, resamples, seed)
        for metric in tested:
            if differences[metric.name].value is not None:
                one, other = scores(metric, ours), scores(metric, theirs)
                _, p = permutation(one, other, ours.columns.cluster.codes, seed, permutations)
                found.append((first, second, metric.name, asdict(differences[metric.name]), *_mcnemar(one, other), p))
    adjusted = holm({str(number): row[-1] for number, row in enumerate(found)})
    pairs = [Pair(*row, p_holm) for row, p_holm in zip(found, adjusted.values(), strict=True)]
    some = next(iter(runs.values()))
    return {
        "n": len(some),
        "patients": some.patients,
        "resamples": resamples,
        "permutations": permutations,
        "seed": seed,
        "tests": len(pairs),
        "runs": {
            name: {key: asdict(e) for key, e in estimates(metrics, run, resamples, seed).items()}
            for name, run in seen.items()
        },
        "pairs": [asdict(pair) | {"differs": pair.differs} for pair in pairs],
    }


def scores(metric: Metric, seen: Seen) -> Array:
    """(n,) the metric's score of every case; NaN where it does not concern the case."""
    if level := LEVEL.fullmatch(metric.name):
        true, said = seen.placed.level_classes(int(level.group(1)))
        return np.where(true >= 0, (true == said).astype(np.float64), np.nan)
    counted = metric.statistics(seen)
    sums = np.asarray(counted.sums, dtype=np.float64)
    return np.where(counted.cases, sums[:, 0] / np.where(counted.cases, sums[:, 1], 1.0), np.nan)


def _mcnemar(one: Array, other: Array) -> tuple[tuple[int, int] | None, float | None]:
    """Discordant cases and p; None for a metric that is no yes or no."""
    both = ~(np.isnan(one) | np.isnan(other))
    if not np.isin(np.concatenate([one[both], other[both]]), (0.0, 1.0)).all():
        return None, None
    first, second, p = mcnemar(one[both] > 0.5, other[both] > 0.5)
    return (first, second), p
