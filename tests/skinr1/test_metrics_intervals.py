"""Intervals against scipy, and paired differences."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from skinr1.errors import UserError
from skinr1.metrics.catalogue import HIERARCHICAL_F, TOP1, VALID, catalogue
from skinr1.metrics.estimate import estimates, paired_differences
from skinr1.metrics.statistics import cluster_sums, counts, drawn_sums, over_draws, wilson_interval
from tests.skinr1.outcome_rows import ARRAYS, BCC, BLUE, ECZEMA, MELANOMA, NEVUS, row, run, seen


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 20), (480, 600)])
def test_wilson_agrees_with_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high))


def test_wilson_refuses_nothing():
    with pytest.raises(ValueError, match="nothing"):
        wilson_interval(0, 0)


def test_bootstrap_agrees_with_scipy_when_each_patient_has_one_case():
    right = np.random.default_rng(1).random(150) < 0.7
    results = run(*((NEVUS, NEVUS if hit else BLUE) for hit in right))
    found = estimates([TOP1], results, resamples=4000)["top1"]
    expected = bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.015)
    assert found.method == "bootstrap"


def test_clustering_widens_the_interval():
    """Twenty patients, ten equal cases each: 200 cases carry the information of 20."""
    rows = [row(i, NEVUS, NEVUS if i // 10 % 2 else BLUE, patient=f"p{i // 10}") for i in range(200)]
    alone = [{**r, "patient_id": None} for r in rows]
    clustered, naive = (estimates([TOP1], seen(r))["top1"] for r in (rows, alone))
    assert clustered.value == naive.value == 0.5
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(10**0.5, rel=0.15)


def test_resampling_is_seeded_and_draws_whole_clusters():
    sums = cluster_sums(np.array([[1.0], [2.0], [4.0]]), np.array([1, 0, 1]), 2)
    assert sums.tolist() == [[2.0], [5.0]]
    drawn, again, other = (
        np.concatenate([drawn_sums(sums, piece) for piece in counts(2, 600, seed)]) for seed in (3, 3, 4)
    )
    assert set(drawn[:, 0]) == {4.0, 7.0, 10.0}
    assert np.array_equal(drawn, again) and not np.array_equal(drawn, other)


@pytest.mark.parametrize("held", [2**20, 0])
def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch, held):
    whole = np.concatenate(list(counts(7, 50, seed=1)), axis=1)
    monkeypatch.setattr("skinr1.metrics.statistics.CHUNK_BYTES", 7 * 8 * 3)
    monkeypatch.setattr("skinr1.metrics.statistics.HELD_BYTES", held)
    pieces = over_draws(lambda piece: piece, 7, 50, seed=1)
    assert len(pieces) == 17 and np.array_equal(whole, np.concatenate(pieces, axis=1))
    assert (whole.sum(axis=0) == 7).all()


def test_no_spread_gets_a_wilson_interval_over_patients():
    rows = [row(i, NEVUS, NEVUS, patient=f"p{i % 10}") for i in range(40)]
    found = estimates([VALID], seen(rows))[VALID.name]
    assert (found.value, found.high, found.n, found.method) == (1.0, 1.0, 40, "wilson")
    assert found.low == pytest.approx(wilson_interval(10, 10)[0], abs=1e-6)


def test_all_wrong_has_an_interval_wider_than_nothing():
    found = estimates([HIERARCHICAL_F], run(*[(NEVUS, ECZEMA)] * 20))[HIERARCHICAL_F.name]
    assert (found.value, found.low, found.method) == (0, 0, "wilson") and found.high > 0.1


def test_one_patient_has_no_interval():
    found = estimates([TOP1], run((NEVUS, NEVUS), (NEVUS, BLUE), patient="p"))["top1"]
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_paired_difference_is_narrower_than_the_two_intervals_and_signed():
    said = np.random.default_rng(0).random(200) < 0.5
    before = run(*((NEVUS, NEVUS if hit else BLUE) for hit in said))
    after = run(*((NEVUS, NEVUS if hit or i % 10 == 0 else BLUE) for i, hit in enumerate(said)))
    found = paired_differences([TOP1], after, before)["top1"]
    gained = sum(not hit and i % 10 == 0 for i, hit in enumerate(said)) / 200
    assert found.value == pytest.approx(gained)
    assert 0 < found.low < gained < found.high
    single = estimates([TOP1], after)["top1"]
    assert found.high - found.low < single.high - single.low
    back = paired_differences([TOP1], before, after)["top1"]
    assert (back.value, back.low, back.high) == (-found.value, -found.high, -found.low)


def test_paired_with_itself_is_exactly_nothing():
    results = run(*[(NEVUS, NEVUS), (BCC, None), (ECZEMA, NEVUS), (MELANOMA, BCC)] * 2)
    found = paired_differences(catalogue(ARRAYS), results, results, 50)
    assert {(e.value, e.low, e.high) for e in found.values() if e.n} == {(0, 0, 0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], r"1 case\(s\) were answered in only one of the two runs: c002"),
        (lambda rows: [*rows[:-1], {**rows[-1], "diagnoses": [BCC]}], "disagree about the truth: c002"),
        (lambda rows: [*rows[:-1], {**rows[-1], "patient_id": "x"}], "disagree about the truth: c002"),
    ],
)
def test_runs_on_other_cases_are_not_compared(change, message):
    rows = [row(i, NEVUS, NEVUS) for i in range(3)]
    with pytest.raises(UserError, match=message):
        paired_differences([TOP1], seen(rows), seen(change(rows)))
