"""Several runs on the same cases, two by two: differences with intervals, McNemar's test, permutation, Holm.

Patients are the unit of the permutation test: all cases of a patient change sides together. McNemar's test counts cases
and takes them for independent; it is shown because readers expect it, and decides nothing.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skinr1.errors import UserError
from skinr1.metrics import Outcome, estimates, paired_differences
from skinr1.metrics.catalogue import Metric, catalogue
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.taxonomy import Taxonomy

Array = NDArray[np.float64]

PERMUTATIONS = 10_000
CHUNK = 500  # permutations drawn at once: bounds the matrix of signs to CHUNK x patients
ALPHA = 0.05
COMPARED = ("top1", "hierarchical_f_by_case", "malignancy_sensitivity", "malignancy_specificity", "valid_report_rate")
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
    runs: Mapping[str, Sequence[Outcome]],
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
    metrics = catalogue(taxonomy)
    tested = [metric for metric in metrics if metric.name in COMPARED or metric.name.startswith("level_")]
    tests = len(tested) * len(runs) * (len(runs) - 1) // 2
    if tests >= ALPHA * (permutations + 1):
        least = int(tests / ALPHA)
        raise UserError("no test could show anything", f"{permutations} permutations", f"Give more than {least}.")
    found: list[tuple[str, str, str, Mapping[str, Any], Any, Any, float]] = []
    for (first, ours), (second, theirs) in itertools.combinations(runs.items(), 2):
        differences = paired_differences(tested, ours, theirs, taxonomy, resamples, seed)
        for metric in tested:
            if differences[metric.name].value is None:
                continue
            one, other, clusters = _values(metric, ours, theirs, taxonomy)
            counts = discordant(one, other)
            p_mcnemar = None if counts is None else mcnemar(*counts)
            p = permutation_test(one - other, clusters, permutations, seed)
            found.append((first, second, metric.name, asdict(differences[metric.name]), counts, p_mcnemar, p))
    adjusted = holm([row[-1] for row in found])
    pairs = [Pair(*row, p_holm) for row, p_holm in zip(found, adjusted, strict=True)]
    any_run = next(iter(runs.values()))
    return {
        "n": len(any_run),
        "patients": len({outcome.cluster for outcome in any_run}),
        "resamples": resamples,
        "permutations": permutations,
        "seed": seed,
        "tests": len(pairs),
        "runs": {
            name: {key: asdict(e) for key, e in estimates(metrics, run, taxonomy, resamples, seed).items()}
            for name, run in runs.items()
        },
        "pairs": [asdict(pair) | {"differs": pair.differs} for pair in pairs],
    }


def _values(
    metric: Metric, ours: Sequence[Outcome], theirs: Sequence[Outcome], taxonomy: Taxonomy
) -> tuple[Array, Array, list[str]]:
    """Scores of both runs on the cases that the metric concerns, and these cases' patients."""
    others = {outcome.case_id: outcome for outcome in theirs}
    rows = []
    for outcome in ours:
        one = metric.statistics(outcome, taxonomy)
        other = metric.statistics(others[outcome.case_id], taxonomy)
        if one is not None and other is not None:
            rows.append((one[0] / one[1], other[0] / other[1], outcome.cluster))
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), [row[2] for row in rows]


def discordant(one: Array, other: Array) -> tuple[int, int] | None:
    """Cases that only the first, and only the second, has right; None unless all scores are 0 or 1."""
    if not np.isin(np.concatenate([one, other]), (0.0, 1.0)).all():
        return None
    return int((one > other).sum()), int((one < other).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test: the discordant cases as tosses of a fair coin (McNemar 1947)."""
    from scipy.stats import binomtest

    tosses = only_first + only_second
    return float(binomtest(only_first, tosses).pvalue) if tosses else 1.0


def permutation_test(
    differences: Array, clusters: Sequence[str], permutations: int = PERMUTATIONS, seed: int = SEED
) -> float:
    """Two-sided p of a mean difference of 0, by flipping the sign of all cases of a patient together.

    The order that was observed counts among the permutations (Phipson and Smyth 2010), so p is never 0.
    """
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=differences)
    sums = sums[sums != 0]  # no flip changes these
    if not len(sums):
        return 1.0
    observed = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()  # equal sums in another order of adding are equal
    generator = np.random.Generator(np.random.PCG64(seed))
    extreme = 0
    for start in range(0, permutations, CHUNK):
        signs = generator.integers(0, 2, (min(CHUNK, permutations - start), len(sums))) * 2 - 1
        extreme += int((np.abs(signs @ sums) >= observed).sum())
    return (extreme + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = least
    return adjusted
