"""Calibration and abstention against scikit-learn, brute force and hand-worked examples."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from skinr1.metrics.calibration import backoff, conformal, reliability, selective, temperature
from skinr1.metrics.scores import score
from tests.skinr1.outcome_rows import ARRAYS, BCC, BLUE, ECZEMA, MELANOMA, NEVUS, TREE, run

NO_ONE = np.zeros(4, dtype=bool)


def test_brier_agrees_with_sklearn():
    draw = np.random.default_rng(0)
    given, right = draw.random(50), draw.random(50) < 0.5
    assert reliability.brier(given, right).mean() == pytest.approx(brier_score_loss(right, given))


def test_ece_by_hand():
    """Two bins: 0.9 and 0.9 with one right, 0.3 and 0.3 with both right: (|1.8 - 1| + |0.6 - 2|) / 4."""
    given, right = np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, True, True])
    assert reliability.ece(reliability.gaps(given, right, NO_ONE).sum(axis=0)) == pytest.approx(2.2 / 4)


def test_silence_is_not_well_calibrated():
    given, right = np.array([0.5, 0.5, 1.0, 1.0]), np.array([True, False, False, False])
    silent = np.array([False, False, True, True])
    assert reliability.ece(reliability.gaps(given, right, silent).sum(axis=0)) == pytest.approx(0.5)
    last = reliability.reliability(given, right, silent)[-1]
    assert (last["low"], last["n"], last["accuracy"]) == (None, 2, 0.0)


@pytest.mark.parametrize(("given", "place"), [(0.0, 0), (0.1, 0), (0.11, 1), (0.3, 2), (0.7, 6), (1.0, 9)])
def test_bins_are_closed_on_the_right(given, place):
    assert reliability.bin_of(np.array([given])).tolist() == [place]


@pytest.mark.parametrize("seed", range(3))
def test_aurc_is_the_mean_over_all_orders_of_equal_confidence(seed):
    draw = np.random.default_rng(seed)
    level, wrong = draw.integers(0, 4, 12), draw.random(12) < 0.5
    counts = np.zeros(2 * selective.STEPS)
    np.add.at(counts, level + selective.STEPS * wrong, 1)
    areas = []
    for _ in range(4000):
        order = np.lexsort((draw.random(12), -level))
        areas.append((np.cumsum(wrong[order]) / np.arange(1, 13)).mean())
    assert selective.aurc(counts) == pytest.approx(np.mean(areas), abs=0.01)


def test_risk_coverage_by_hand():
    counts = np.zeros(2 * selective.STEPS)
    counts[[90, selective.STEPS + 90, selective.STEPS + 10]] = [3, 1, 4]
    assert selective.risk_coverage(counts) == [
        {"confidence": 0.9, "coverage": 0.5, "risk": 0.25},
        {"confidence": 0.1, "coverage": 1.0, "risk": 0.625},
    ]
    assert sum(counts) == 8


def test_temperature_finds_the_one_that_was_hidden():
    """Probabilities sharpened by 1 / 2.5 are mended by a temperature of 2.5."""
    draw = np.random.default_rng(1)
    honest = draw.dirichlet([2, 1, 1], 6000)
    truth = np.array([draw.choice(3, p=p) for p in honest])
    hits = truth[:, None] == np.arange(2)
    sharp = temperature.scaled(honest, 1 / 2.5)
    assert temperature.fit(sharp, hits) == pytest.approx(2.5, rel=0.1)
    assert temperature.scaled(temperature.scaled(honest, 0.5), 2.0) == pytest.approx(honest)
    expected = log_loss(truth, honest, labels=[0, 1, 2])
    assert temperature.likelihood_loss(honest, hits, 1.0) == pytest.approx(expected, abs=0.01)


def test_split_threshold_is_an_order_statistic():
    scores = np.arange(1, 20) / 20  # n = 19: floor(0.1 * 20) = 2
    assert conformal.split_threshold(scores, 0.1) == 0.1
    assert conformal.split_threshold(scores[:5], 0.1) == -np.inf
    assert conformal.monte_carlo_threshold(scores[:, None], 0.1) == 0.1
    assert conformal.p_values(np.array([0.1]), scores).tolist() == [3 / 20]


def test_split_sets_cover_what_they_promise():
    draw = np.random.default_rng(2)
    scores = draw.random((400, 200))
    covered = [(row[100:] >= conformal.split_threshold(row[:100], 0.2)).mean() for row in scores]
    assert np.mean(covered) == pytest.approx(1 - 20 / 101, abs=0.01)


def test_monte_carlo_sets_cover_the_drawn_labels():
    draw = np.random.default_rng(3)
    weights = draw.dirichlet([1, 1, 1], 4000)
    scores = np.clip(weights + draw.normal(0, 0.2, weights.shape), 0, 1)
    labels = conformal.drawn_scores(scores, weights, 5, seed=4)
    threshold = conformal.monte_carlo_threshold(labels[:2000], 0.1)
    assert (labels[2000:] >= threshold).mean() == pytest.approx(0.9, abs=0.02)


def test_drawn_labels_follow_the_readers_weights():
    scores, weights = np.tile([[1.0, 2.0]], (3000, 1)), np.tile([[0.25, 0.75]], (3000, 1))
    assert (conformal.drawn_scores(scores, weights, 2, seed=0) == 2).mean() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.4, NEVUS), (0.6, "neoplasm/benign/melanocytic"), (0.75, "neoplasm"), (0.95, None)],
)
def test_back_off_to_the_deepest_node_that_is_likely_enough(threshold, expected):
    nodes = [NEVUS, BLUE, MELANOMA]
    order = np.array([[*(ARRAYS.number[n] for n in nodes), -1, -1, -1]], dtype=np.int16)
    probability = np.array([[45, 25, 20, 0, 0, 0]], dtype=np.uint8)
    ((node,),) = backoff.backed_off(order, probability, ARRAYS, [threshold])
    assert (None if node < 0 else ARRAYS.ids[node]) == expected


def test_scores_hold_what_is_fitted_on_validation_only_where_there_is_some():
    results = run(*[(NEVUS, NEVUS), (MELANOMA, BCC), (ECZEMA, None)] * 10).columns
    without, with_it = (score(results, TREE, resamples=5, validation=v)["calibration"] for v in (None, results))
    assert without["temperature"] is without["conformal"] is None
    assert with_it["temperature"]["cases"] == 20 and len(with_it["conformal"]) == 4
    assert sum(row["n"] for row in with_it["bins"]) == 30
