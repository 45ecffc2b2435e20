"""Cohen's kappa against scikit-learn, Krippendorff's alpha against his own example and by its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from skinr1.metrics.agreement import cohen_kappa, coincidences, confusion, krippendorff_alpha

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


def table(one, other, classes=3):
    return np.bincount(confusion(np.array(one), np.array(other), classes), minlength=classes**2).astype(float)


@given(PAIRS)
def test_kappa_is_that_of_scikit_learn(pairs):
    one, other = zip(*pairs, strict=True)
    found = cohen_kappa(table(one, other))
    if len(set(one) | set(other)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(cohen_kappa_score(one, other))


def test_kappa_of_many_tables_at_once_and_of_nothing():
    tables = np.stack([table([0, 1, 2], [0, 1, 2]), table([0, 1, 0, 1], [1, 0, 0, 1]), np.zeros(9)])
    assert cohen_kappa(tables) == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert confusion(np.array([-1, 1]), np.array([0, 2]), 3).tolist() == [-1, 5]


def test_alpha_of_krippendorffs_example():
    """Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units, with gaps."""
    rows = ["1 . 1 1", "2 2 3 2", "3 3 3 3", "3 3 3 3", "2 2 2 2", "1 2 3 4", "4 4 4 4", "1 1 2 1", "2 2 2 2",
            ". 5 5 5", ". . 1 1", ". 3 . ."]  # fmt: skip
    votes = [[int(vote) - 1 for vote in row.split() if vote != "."] for row in rows]
    assert krippendorff_alpha(coincidences(votes, 5).sum(axis=0)) == pytest.approx(0.743, abs=0.0005)


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=30))
def test_alpha_is_one_only_for_full_agreement_and_counts_pairs(votes):
    found = float(krippendorff_alpha(coincidences(votes, 3).sum(axis=0)))
    pairable = [vote for unit in votes if len(unit) > 1 for vote in unit]
    if len(set(pairable)) < 2:
        assert np.isnan(found)
        return
    observed = np.mean([np.mean([a != b for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j])
                        for unit in votes if len(unit) > 1 for _ in unit])  # fmt: skip
    drawn = [a != b for i, a in enumerate(pairable) for j, b in enumerate(pairable) if i != j]
    assert found == pytest.approx(1 - observed / np.mean(drawn))
