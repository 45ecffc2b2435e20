"""Group DRO's weights: sums, floors, absent groups, and what they do to a small bandit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.training.group_weights import UNKNOWN, GroupWeights, group_of, shares, updated

GROUPS = ("I", "V", "VI")
losses = st.dictionaries(st.sampled_from(GROUPS), st.floats(0, 1) | st.just(math.nan))


def test_a_step_by_hand():
    new = updated({"I": 0.5, "VI": 0.5}, {"I": 0.0, "VI": 1.0}, rate=math.log(3), floor=0.0)
    assert new == pytest.approx({"I": 0.25, "VI": 0.75})
    floored = updated({"I": 0.5, "VI": 0.5}, {"I": 0.0, "VI": 1.0}, rate=math.log(3), floor=0.4)
    assert floored == pytest.approx({"I": 0.2 + 0.6 * 0.25, "VI": 0.2 + 0.6 * 0.75})


@given(st.lists(losses, max_size=30), st.floats(0, 5), st.floats(0, 1))
def test_weights_stay_a_distribution_above_the_floor(batches, rate, floor):
    weights = dict.fromkeys(GROUPS, 1 / 3)
    for batch in batches:
        weights = updated(weights, batch, rate, floor)
        assert sum(weights.values()) == pytest.approx(1) and min(weights.values()) >= floor / 3 - 1e-12


@pytest.mark.parametrize("batch", [{}, {"I": math.nan}, dict.fromkeys(GROUPS, 1.0), dict.fromkeys(GROUPS, 0.0)])
def test_nothing_to_tell_groups_apart_changes_nothing(batch):
    """Among them the batch in which every completion earns nothing."""
    assert updated(dict.fromkeys(GROUPS, 1 / 3), batch, 1.0, 0.2) == pytest.approx(dict.fromkeys(GROUPS, 1 / 3))


def test_an_absent_group_neither_gains_nor_loses():
    new = updated(dict.fromkeys(GROUPS, 1 / 3), {"I": 0.2, "V": 0.8}, 1.0, 0.0)
    assert new["I"] < new["VI"] < new["V"]


def test_factors_average_to_one_over_the_training_rows():
    rows = [{"skin_tone": tone} for tone in [1] * 6 + [5] * 3 + [None]]
    share = shares(rows, ["skin_tone"])
    groups = GroupWeights(share, rate=0.5, floor=0.1)
    groups.observe(["1", "5", "5", UNKNOWN], [2.0, 0.5, 0.0, math.nan], highest=2.0)
    assert share == {"1": 0.6, "5": 0.3, UNKNOWN: 0.1}
    assert sum(share[group] * groups.of(group) for group in share) == pytest.approx(1)
    assert groups.of("5") / groups.of("1") > 0.6 / 0.3  # more than equal weight a group


def test_rate_zero_is_equal_weight_a_group():
    groups = GroupWeights({"a": 0.9, "b": 0.1}, rate=0.0, floor=0.0)
    groups.observe(["a", "b"], [1.0, 0.0], highest=1.0)
    assert groups.of("b") / groups.of("a") == pytest.approx(9)


def test_groups_of_several_columns():
    assert group_of({"skin_tone": 6, "source": "scin"}, ["skin_tone", "source"]) == "6 × scin"


def test_weights_survive_a_checkpoint(tmp_path):
    groups, again = (GroupWeights({"a": 0.5, "b": 0.5}, rate=0.3, floor=0.1) for _ in range(2))
    groups.observe(["a", "b"], [0.1, 0.7], highest=1.0)
    groups.save(tmp_path)
    again.load(tmp_path)
    assert again.weights == groups.weights


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda tmp: shares([{"t": 1}, {"t": 1}], ["t"]), "only one group"),
        (lambda tmp: GroupWeights({"a": 1.0}, rate=-1, floor=0), "group_rate"),
        (lambda tmp: GroupWeights({"a": 1.0}, rate=1, floor=1.5), "group_floor"),
        (lambda tmp: GroupWeights({"a": 1.0}, rate=1, floor=0).load(tmp), "no group weights"),
    ],
)
def test_what_cannot_be_weighted_is_one_line(tmp_path, broken, message):
    with pytest.raises(UserError, match=message):
        broken(tmp_path)


def test_weights_of_other_groups_are_refused(tmp_path):
    GroupWeights({"a": 0.5, "b": 0.5}, 0.1, 0.1).save(tmp_path)
    with pytest.raises(UserError, match="other groups"):
        GroupWeights({"a": 0.5, "c": 0.5}, 0.1, 0.1).load(tmp_path)
