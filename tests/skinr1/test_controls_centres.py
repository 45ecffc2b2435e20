"""Robustness indices: planted embeddings, a hand-worked example, and what chance gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.controls.centres import Places, index, metrics, ratio
from skinr1.controls.words import centre_words
from skinr1.metrics.estimate import estimates
from tests.skinr1.outcome_rows import NEVUS, run

CASES = 80
GROUPS = np.array([["benign", "malignant"][n % 2] for n in range(CASES)])
CENTRES = np.array([["here", "there"][n // 2 % 2] for n in range(CASES)])
PATIENTS = np.array([f"p{n // 4}" for n in range(CASES)])


def places(group, centre, noise=0.3, seed=0):
    """Embeddings whose first two directions hold group and centre, as strongly as told."""
    found = np.random.default_rng(seed).normal(0, noise, (CASES, 6))
    found[:, 0] += group * np.where(GROUPS == "benign", 1, -1)
    found[:, 1] += centre * np.where(CENTRES == "here", 1, -1)
    return Places(found, PATIENTS, GROUPS, CENTRES)


def found(where):
    near, every = where.kinds(range(CASES))
    return estimates(metrics(near, every, np.ones(CASES, dtype=bool)), run(*[(NEVUS, NEVUS)] * CASES), 200)


def test_an_embedding_of_the_disease_is_robust_and_one_of_the_source_is_not():
    disease, source = found(places(2, 0)), found(places(0, 2))
    assert disease["robustness_index"].value > 0.95 and disease["index_minus_chance"].low > 0
    assert source["robustness_index"].value < 0.05 and source["index_minus_chance"].high < 0
    assert disease["robustness_ratio"].value > 1 > source["robustness_ratio"].value


def test_an_embedding_that_knows_neither_is_at_chance():
    difference = found(places(0, 0, seed=2))["index_minus_chance"]
    assert difference.low < 0 < difference.high


def test_neighbours_are_counted_by_hand_and_never_of_the_same_patient():
    angles = np.radians([0, 1, 10, 20, 90, 100])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [
        [1],
        [9],
        [2],
        [1],
        [1],
        [1],
    ]  # length is nothing
    where = Places(embeddings, np.array(list("aabcde")), np.array(list("xxxyxy")), np.array(list("112121")))
    near, every = where.kinds([0], k=3)
    assert near.tolist() == [[0, 2, 1, 0]]  # b: SO, c: OS, d: SO; case 1 is the same patient
    assert every.tolist() == [[0, 2, 2, 0]]
    assert index(near)[0] == pytest.approx(2 / 3) and ratio(near)[0] == 2


@settings(max_examples=25)
@given(st.integers(1, 90), st.integers(0, 5))
def test_counts_are_of_k_others_and_chance_does_not_depend_on_the_embedding(k, seed):
    one, other = places(1, 1, seed=seed), places(0, 0, seed=seed + 1)
    near, every = one.kinds(range(CASES), k)
    assert (near.sum(axis=1) == min(k, CASES - 4)).all() and (every.sum(axis=1) == CASES - 4).all()
    assert (every == other.kinds(range(CASES), k)[1]).all()
    if k >= CASES:
        assert (near == every).all()


def test_cases_that_do_not_count_leave_no_trace():
    near, every = places(2, 0).kinds(range(CASES))
    counted = np.arange(CASES) % 3 > 0
    near[~counted] = 1e6
    made = estimates(metrics(near, every, counted), run(*[(NEVUS, NEVUS)] * CASES), 20)["robustness_index"]
    assert made.n == counted.sum() and made.value > 0.95


def test_words_follow_the_intervals():
    def estimate(value):
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 9}

    names = ("robustness_index", "index_by_chance", "kappa_of_centre", "kappa_of_diagnosis")
    row = {"attribute": "source", **{name: estimate(0.5) for name in names}}
    for shift, nearer, reads in ((0.3, "the diagnosis group rather than the source", "the diagnosis group better"),
                                 (-0.3, "the source rather than the diagnosis group", "the source better"),
                                 (0.0, "not shown to prefer", "not shown to read")):  # fmt: skip
        differences = {"index_minus_chance": estimate(shift), "kappa_of_diagnosis_minus_centre": estimate(shift)}
        (told,) = centre_words([row | differences])
        assert nearer in told and reads in told
    (told,) = centre_words([{"attribute": "source", "why": "fewer than two values, one"}])
    assert "not computable: fewer than two values, one" in told
