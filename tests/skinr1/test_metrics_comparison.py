"""The permutation of metrics that are no mean of cases: against the mean's own test, and every exchange by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from skinr1.metrics.comparison import permutation, permutation_of_sums
from skinr1.metrics.statistics import ratio

CASES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


@given(CASES)
def test_of_a_mean_it_is_the_test_of_the_mean(right):
    ours, theirs = np.array(right, dtype=np.float64).T
    sums = [np.stack([side, np.ones(len(right))], axis=1) for side in (ours, theirs)]
    expected = permutation(ours, theirs, np.arange(len(right), dtype=np.int32), permutations=500)
    assert permutation_of_sums(ratio, *sums, permutations=500) == pytest.approx(expected)
    assert permutation_of_sums(ratio, *map(sparse.csr_array, sums), permutations=500) == pytest.approx(expected)


def test_a_ratio_with_two_denominators_by_every_exchange():
    """Seven patients: rounds of a descent that went right, over rounds that counted."""
    ours = np.array([[3, 3], [2, 2], [4, 5], [1, 1], [2, 3], [3, 3], [1, 1]], dtype=np.float64)
    theirs = np.array([[1, 2], [1, 2], [2, 4], [0, 1], [2, 3], [1, 3], [1, 2]], dtype=np.float64)

    def difference(keep):
        kept = np.array(keep, dtype=bool)[:, None]
        one, other = np.where(kept, ours, theirs).sum(axis=0), np.where(kept, theirs, ours).sum(axis=0)
        return one[0] / one[1] - other[0] / other[1]

    every = [difference(keep) for keep in itertools.product((True, False), repeat=7)]
    exact = np.mean(np.abs(every) >= abs(every[0]) - 1e-9)
    seen, p = permutation_of_sums(ratio, ours, theirs, permutations=20_000)
    assert seen == pytest.approx(every[0]) and p == pytest.approx(exact, abs=0.005)


def test_what_is_undefined_shows_nothing():
    nothing, one = np.zeros((2, 2)), np.array([[1.0, 1.0], [0.0, 0.0]])
    assert np.isnan(permutation_of_sums(ratio, one, nothing)).all()
    split = permutation_of_sums(ratio, np.array([[1.0, 1], [0, 0]]), np.array([[0.0, 0], [0, 1]]), permutations=200)
    assert split[0] == 1 and split[1] == 1  # every exchange gives the same gap, or leaves a run without a case
