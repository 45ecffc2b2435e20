"""Columns -> the content of ``scores.json``; docs/evaluation.md lays it out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from skinr1.metrics import condition, fairness, morphology, sections
from skinr1.metrics.catalogue import HIERARCHICAL_F, SAFETY, TOP1, VALID, Metric, Seen, catalogue, masses
from skinr1.metrics.columns import Columns
from skinr1.metrics.comparison import cases_needed, holm, mcnemar, permutation
from skinr1.metrics.estimate import Estimate, Resampled, check_same_cases, number, resampled
from skinr1.metrics.majority import majority
from skinr1.metrics.statistics import RESAMPLES, SEED
from skinr1.metrics.tree import BUCKETS, Tree
from skinr1.taxonomy import Taxonomy

INVALID = "(invalid answer)"
TESTED = (VALID, TOP1, HIERARCHICAL_F, SAFETY)
DIFFERENCES = (0.02, 0.05, 0.1)


def score(
    columns: Columns,
    taxonomy: Taxonomy,
    baseline: tuple[str, Columns] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    validation: Columns | None = None,
    further: Sequence[Metric] = (),
) -> dict[str, Any]:
    """All scores of one run.

    Args:
        baseline: name and columns of another run on the same cases, for paired differences and tests.
        validation: answers of the same model to other cases, on which temperature and conformal sets are fitted.
        further: metrics beside the catalogue, of this run alone (those of the reasoning need more than its columns).

    Returns:
        A JSON object; every number is ``{"value", "low", "high", "n", "method"}``, differences also
        ``"excludes_zero"``.

    Raises:
        UserError: the baseline has other cases.
    """
    tree = Tree(taxonomy)
    metrics = catalogue(tree)
    seen, constant = Seen(columns, tree), Seen(majority(columns, tree), tree)
    ours = resampled([*metrics, *further], seen, resamples, seed)
    always = resampled(metrics, constant, resamples, seed)
    numbers = _numbers(ours)
    said = tree.ids[int(constant.columns.said[0])]

    return {
        "n": len(columns),
        "patients": columns.patients,
        "resamples": resamples,
        "seed": seed,
        "metrics": numbers,
        "invalid": _counts(columns.reason.codes, columns.reason.values),
        "cut_off": int(columns.cut.sum()),
        "inconsistent": sum(_counts(columns.faults.codes, columns.faults.values).values()),
        "inconsistencies": _inconsistencies(columns),
        "majority_class": {
            "diagnosis": said,
            "condition": BUCKETS[int(constant.columns.said_bucket[0])],
            "n": len(columns),
            "metrics": _numbers(always),
            "paired": _differences(ours, always),
        },
        "paired": _paired(baseline[0], ours, seen, Seen(baseline[1], tree), resamples, seed) if baseline else None,
        "by_tone": fairness.by_group(seen, fairness.tones(seen), resamples=resamples, seed=seed),
        "by_diagnosis": fairness.by_group(seen, fairness.diagnoses(seen), resamples=resamples, seed=seed),
        "confusion": confusion(seen),
        "levels": [_level(level, tree, numbers) for level in range(1, tree.levels + 1)],
        "operating_point": {
            "positive": "malignant",
            "decision": "the stated condition is malignant",
            **{key: numbers[f"malignancy_{key}"] for key in ("sensitivity", "specificity", "auroc")},
            "roc": condition.roc(np.asarray(masses(seen).sums.sum(axis=0)).ravel()),
        },
        "calibration": sections.calibration(seen, Seen(validation, tree) if validation else None, taxonomy, seed),
        "fairness": [
            fairness.fairness(seen, name, column, resamples, seed) for name, column in fairness.attributes(seen).items()
        ],
        "uncertain": sections.uncertain(seen, resamples, seed),
        "morphology": {
            "cases": int(morphology.annotated(columns).sum()),
            "fields": morphology.fields(columns),
            "seven_point": numbers["checklist_suspicious_agreement"],
        }
        if morphology.annotated(columns).any()
        else None,
        "rationale": None,
        "tone_from_pixels": None,
        "sample_size": [{"difference": d, "discordant": 0.2, "cases": cases_needed(d, 0.2)} for d in DIFFERENCES],
        "notes": sections.notes(seen, validation is not None),
    }


def _numbers(found: Resampled) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in found.estimates().items()}


def _differences(ours: Resampled, theirs: Resampled) -> dict[str, Any]:
    return {name: _difference(estimate) for name, estimate in ours.minus(theirs).items()}


def _counts(codes: Any, values: Sequence[Any]) -> dict[Any, int]:
    """Value -> cases, without the empty value."""
    counts = np.bincount(codes, minlength=len(values))
    return {value: int(n) for value, n in zip(values, counts, strict=True) if value and n}


def _inconsistencies(columns: Columns) -> dict[str, int]:
    found: Counter[str] = Counter()
    for faults, n in _counts(columns.faults.codes, columns.faults.values).items():
        for fault in faults:
            found[fault] += n
    return dict(sorted(found.items()))


def _level(level: int, tree: Tree, numbers: Mapping[str, Any]) -> dict[str, Any]:
    names = ("accuracy", "balanced_accuracy", "macro_f1")
    return {
        "level": level,
        "classes": tree.classes(level),
        **{name: numbers[f"level_{level}_{name}"] for name in names},
    }


def confusion(seen: Seen, level: int = 2) -> dict[str, Any]:
    """Counts of true group x predicted group at one level of the tree; invalid answers have a column.

    A node above the level stands for itself. Of several true nodes the one nearest to the prediction counts.
    """
    tree = seen.tree

    def group(node: int) -> str:
        return INVALID if node < 0 else "/".join(tree.ids[node].split("/")[:level])

    pairs, counts = np.unique(np.stack([seen.placed.nearest, seen.columns.said]), axis=1, return_counts=True)
    cells: Counter[tuple[str, str]] = Counter()
    for (true, said), n in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        cells[group(true), group(said)] += n
    rows = sorted({row for row, _ in cells})
    found = [*sorted({*rows, *(column for _, column in cells)} - {INVALID}), INVALID]
    return {
        "level": level,
        "rows": rows,
        "columns": found,
        "counts": [[cells[row, column] for column in found] for row in rows],
    }


def _paired(name: str, drawn: Resampled, ours: Seen, theirs: Seen, resamples: int, seed: int) -> dict[str, Any]:
    check_same_cases(ours.columns, theirs.columns)
    other = resampled(catalogue(ours.tree), theirs, resamples, seed)
    found = {"baseline": name, "metrics": _differences(drawn, other)}
    only_ours, only_theirs, p = mcnemar(ours.right, theirs.right)
    tests, p_values = {}, {"mcnemar": p}
    for metric in TESTED:
        mine, its = _per_case(metric, ours), _per_case(metric, theirs)
        difference, chance = permutation(mine, its, ours.columns.cluster.codes, seed)
        tests[metric.name] = {"difference": number(difference), "p": number(chance)}
        if not np.isnan(chance):
            p_values[f"permutation {metric.name}"] = chance
    return {
        **found,
        "tests": {
            "mcnemar": {"only_run": only_ours, "only_baseline": only_theirs, "p": number(p)},
            "permutation": tests,
            "holm": {test: number(adjusted) for test, adjusted in holm(p_values).items()},
        },
    }


def _per_case(metric: Metric, seen: Seen) -> Any:
    """(n,) the metric's value of each case alone, NaN where it does not concern the case."""
    counted = metric.statistics(seen)
    return np.where(counted.cases, metric.value(np.asarray(counted.sums)), np.nan)


def _difference(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.low, estimate.high
    return {**asdict(estimate), "excludes_zero": low is not None and high is not None and (low > 0 or high < 0)}
