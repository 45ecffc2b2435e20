"""The parts of ``scores.json`` that are more than a list of metrics: calibration, uncertain truth, notes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from skinr1.metrics.calibration import backoff, conformal, reliability, selective, temperature
from skinr1.metrics.catalogue import Metric, Seen, confidences, mean
from skinr1.metrics.columns import RANKS, Columns
from skinr1.metrics.estimate import estimates, number
from skinr1.metrics.statistics import Array
from skinr1.metrics.tree import NONE, Nodes
from skinr1.metrics.uncertain.plausibilities import RELIABILITIES
from skinr1.metrics.uncertain.ranked import REPEATS, Ranked
from skinr1.metrics.uncertain.readers import left_out
from skinr1.taxonomy import Taxonomy

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ALPHAS = (0.1, 0.2)
LABELS_DRAWN = 10
TOPS = (1, 3, 6)


def calibration(seen: Seen, validation: Seen | None, taxonomy: Taxonomy, seed: int) -> dict[str, Any]:
    """Reliability, risk-coverage and back-off; temperature and conformal sets where there are cases to fit them on."""
    given = reliability.confidence(seen.columns)
    return {
        "bins": reliability.reliability(given, seen.right, seen.silent),
        "risk_coverage": selective.risk_coverage(np.asarray(confidences(seen).sums.sum(axis=0)).ravel()),
        "backoff": _backed_off(seen),
        "temperature": _temperature(seen, validation) if validation else None,
        "conformal": _conformal(seen, validation, len(taxonomy.diagnoses), seed) if validation else None,
    }


def _backed_off(seen: Seen) -> list[dict[str, Any]]:
    columns = seen.columns
    nodes = backoff.backed_off(columns.ranking, columns.probability, seen.tree, THRESHOLDS)
    return [_at_threshold(seen, node, threshold) for node, threshold in zip(nodes, THRESHOLDS, strict=True)]


def _at_threshold(seen: Seen, node: Nodes, threshold: float) -> dict[str, Any]:
    """Shares of all cases: answered at some level, and right (the node lies on a true path, or below its end)."""
    tree = seen.tree
    right = np.zeros(len(node), dtype=bool)
    for truth in seen.placed.truths.T:
        right |= tree.covers(truth, node) | tree.covers(node, truth)
    answered = node != NONE
    depth = tree.depth[node[answered]]
    return {
        "threshold": threshold,
        "answered": number(float(answered.mean())),
        "correct": number(float(right.mean())),
        "correct_of_answered": number(float(right[answered].mean())) if answered.any() else None,
        "mean_depth": number(float(depth.mean())) if answered.any() else None,
    }


def _temperature(seen: Seen, validation: Seen) -> dict[str, Any] | None:
    """Fitted on the validation answers that hold a diagnosis; None when there is none."""
    answered = ~validation.silent
    if not answered.any():
        return None
    fitted = temperature.fit(
        temperature.events(validation.columns.probability[answered]), validation.placed.hits[answered]
    )
    before = reliability.confidence(seen.columns)
    scaled = temperature.scaled(temperature.events(seen.columns.probability), fitted)[:, 0]
    after = np.where(seen.silent, 1.0, scaled)

    def scores(name: str, of: Array) -> dict[str, Any]:
        error = reliability.ece(reliability.gaps(of, seen.right, seen.silent).sum(axis=0))
        squared = reliability.brier(of, seen.right).mean()
        return {f"ece_{name}": number(float(error)), f"brier_{name}": number(float(squared))}

    return {
        "temperature": number(fitted),
        "cases": int(answered.sum()),
        **scores("before", before),
        **scores("after", after),
    }


def _conformal(seen: Seen, validation: Seen, diagnoses: int, seed: int) -> list[dict[str, Any]]:
    found = []
    methods: tuple[tuple[str, int, Callable[[Array, float], float]], ...] = (
        ("split", 1, lambda scores, alpha: conformal.split_threshold(scores[:, 0], alpha)),
        ("monte_carlo", LABELS_DRAWN, conformal.monte_carlo_threshold),
    )
    for method, labels, threshold_of in methods:
        fitted, tested = (_true_scores(run, labels, seed) for run in (validation, seen))
        for alpha in ALPHAS:
            threshold = threshold_of(fitted, alpha)
            made = conformal.sets(seen.columns.probability / 100, tested, threshold, diagnoses)
            found.append(made.row(method, alpha, threshold))
    return found


def _true_scores(run: Seen, labels: int, seed: int) -> Array:
    """(n, labels) scores of true labels: those drawn by readers' weights where there are some, else the true nodes."""
    valid, probability = run.columns.valid, run.columns.probability / 100
    plain = conformal.best_listed(probability, run.placed.hits, valid)
    scores = np.repeat(plain[:, None], labels, axis=1)
    cases = np.flatnonzero(run.met.pair >= 0)
    if labels > 1 and len(cases):
        named, weights = run.met.named, run.met.weights[run.met.differential]
        pair = run.met.pair[cases]
        listed = (named[pair] * probability[cases][:, :, None]).max(axis=1)
        listed = np.where(valid[cases][:, None], listed, conformal.INVALID_SCORE)
        scores[cases] = conformal.drawn_scores(listed, weights[pair], labels, seed)
    return scores


def uncertain(seen: Seen, resamples: int, seed: int) -> dict[str, Any] | None:
    """Scores against plausible truths; None where no case has a differential or ranked readers.

    Plausible truths are drawn by PrIRN around the weights of the differential, at several reliabilities, and by
    Plackett-Luce from the readers' own rankings, counted several times over.
    """
    cases = np.flatnonzero(seen.met.pair >= 0)
    readers = [left_out(value) for value in seen.columns.readers.values]
    ranked = _plackett_luce(seen, resamples, seed)
    if not len(cases) and ranked is None:
        return None
    part = Seen(seen.columns.take(cases), seen.tree)
    made = {worth: part.met.adjusted(worth, TOPS, seed) for worth in (RELIABILITIES if len(cases) else ())}
    rows = _adjusted("readers", made, part, resamples, seed)
    return {
        "cases": len(cases),
        "reliability": rows,
        "plackett_luce": ranked,
        "reader_agreement": _agreement(seen, readers),
    }


def _plackett_luce(seen: Seen, resamples: int, seed: int) -> dict[str, Any] | None:
    """The same scores, the truth being drawn from the readers' rankings; None where no reader ranked anything."""
    if not any(seen.columns.readers.values):
        return None
    ranked = Ranked(seen.columns, seen.tree)
    part = Seen(ranked.columns, seen.tree)
    made = {repeats: ranked.adjusted(repeats, TOPS, seed) for repeats in (REPEATS if len(ranked.cases) else ())}
    rows = _adjusted("repeats", made, part, resamples, seed)
    return {"cases": len(ranked.cases), "left_out": ranked.left_out, "reliability": rows}


def _adjusted(
    trust: str, made: Mapping[int, Mapping[str, Array]], part: Seen, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Means over cases with their intervals, a row for each of ``trust``, all over the same draws."""
    metrics: list[Metric] = [
        mean(f"{worth} {name}", lambda _, of=of: of)  # type: ignore[misc]
        for worth, scores in made.items()
        for name, of in scores.items()
    ]
    found = estimates(metrics, part, resamples, seed) if metrics else {}
    return [
        {trust: worth, **{name: asdict(found[f"{worth} {name}"]) for name in scores}} for worth, scores in made.items()
    ]


def _agreement(seen: Seen, readers: list[list[tuple[float, float]]]) -> dict[str, Any] | None:
    """Means over held-out readers."""
    counts = np.bincount(seen.columns.readers.codes, minlength=len(readers))
    pairs = [(pair, int(n)) for found, n in zip(readers, counts, strict=True) for pair in found]
    if not pairs:
        return None
    total = sum(n for _, n in pairs)
    overlap, covered = (sum(pair[place] * n for pair, n in pairs) / total for place in (0, 1))
    return {"readers": total, "average_overlap": number(overlap), "coverage": number(covered)}


def notes(seen: Seen, validated: bool) -> list[str]:
    """What a reader must know beside the numbers."""
    columns = seen.columns
    found = [
        "Research software: none of these numbers says that the model is safe to use on patients.",
        f"{RANKS} ranks at most: the diagnosis, then the rivals of the differential.",
    ]
    if not _patients_known(columns):
        found.append("No case names its patient: each counts as one of its own, so intervals may be too narrow.")
    if columns.patients < len(columns):
        found.append("Several cases share a patient; intervals resample patients. Wilson intervals do not.")
    if rendered := int(np.isin(columns.source.codes, _rendered(columns.source.values)).sum()):
        found.append(f"{rendered} of {len(columns)} cases are rendered images, which are not clinical.")
    if not validated:
        found.append("No validation answers were given: neither temperature nor conformal sets were fitted.")
    return found


def _patients_known(columns: Columns) -> bool:
    """Whether any case is grouped by something else than its own id."""
    return bool((np.array(columns.cluster.values)[columns.cluster.codes] != columns.case_id).any())


def _rendered(sources: tuple[str, ...]) -> list[int]:
    return [place for place, source in enumerate(sources) if source.startswith("rendered")]
