"""Questions that the options alone cannot answer, judged by solvers that see nothing else."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_builders.rl import rl_row
from skinr1.cases import Case
from skinr1.choices import LEFT_OVER, SEVERAL, UNBALANCED, Question, option_sets, questions
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

TREE = Taxonomy.load()
NEVUS = "neoplasm/benign/melanocytic/common_nevus"
SIZE = 4


def case(number: int, *nodes: str, split: str = "train") -> Case:
    return Case(
        case_id=f"c{number}",
        source="test",
        images=("a.png",),
        role="sparse",
        licence="CC0-1.0",
        diagnoses=tuple(sorted(nodes)),
        split=split,
    )


def skewed(count: int, seed: int) -> list[Case]:
    """Labels of 400 diagnoses and groups of the shipped tree, frequency falling as 1/rank; some in validation."""
    random = np.random.default_rng(seed)
    nodes = random.choice(sorted(TREE.nodes), 400, replace=False)
    drawn = random.choice(nodes, count, p=(w := 1 / np.arange(1, 401)) / w.sum())
    return [case(i, str(node), split="validation" if i % 10 == 0 else "train") for i, node in enumerate(drawn)]


def deepest_related_pair(options: tuple[str, ...], prior: Counter) -> str:
    """The reference's shortcut: the truth is the commoner of the two options that are most closely related."""
    pair = max(
        combinations(options, 2), key=lambda pair: len(TREE.path(TREE.lca(*pair) or pair[0])) * bool(TREE.lca(*pair))
    )
    return max(pair, key=lambda node: (prior[node], node))


def longest_name(options: tuple[str, ...], prior: Counter) -> str:
    return max(options, key=lambda node: len(TREE.node(node).name))


def shortest_name(options: tuple[str, ...], prior: Counter) -> str:
    return min(options, key=lambda node: len(TREE.node(node).name))


def commonest(options: tuple[str, ...], prior: Counter) -> str:
    return max(options, key=lambda node: prior[node])


def first_shown(options: tuple[str, ...], prior: Counter) -> str:
    return options[0]


@pytest.fixture(scope="module")
def built():
    cases = skewed(16_000, seed=5)
    made, refused = questions(cases, SIZE, TREE, seed=17)
    return cases, made[:2000], made, refused


@pytest.mark.parametrize("solver", [deepest_related_pair, longest_name, shortest_name, commonest, first_shown])
def test_who_sees_only_the_options_is_at_chance(built, solver):
    cases, sample, _, _ = built
    assert len(sample) == 2000
    prior = Counter(c.diagnoses[0] for c in cases)
    right = sum(solver(q.options, prior) == q.case.diagnoses[0] for q in sample)
    assert abs(right / len(sample) - 1 / SIZE) <= 0.03


def test_the_same_solvers_beat_a_naive_builder(built):
    """Else the test above would prove nothing: distractors drawn at random leave the prior in place."""
    cases, _, _, _ = built
    prior, random = Counter(c.diagnoses[0] for c in cases), np.random.default_rng(0)
    nodes, right = sorted(prior), 0
    for one in cases[:2000]:
        others = [node for node in random.choice(nodes, SIZE + 1, replace=False) if node != one.diagnoses[0]]
        right += commonest((one.diagnoses[0], *others[: SIZE - 1]), prior) == one.diagnoses[0]
    assert right / 2000 > 0.5


def test_truth_is_among_the_options_and_no_option_is_above_or_below_another(built):
    for q in built[2]:
        assert q.case.diagnoses[0] in q.options and len(set(q.options)) == SIZE
        for a, b in combinations(q.options, 2):
            assert a not in TREE.path(b) and b not in TREE.path(a)


def test_every_case_is_asked_or_listed_with_a_reason(built):
    cases, _, made, refused = built
    assert sorted([q.case.case_id for q in made] + [c.case_id for c, _ in refused]) == sorted(c.case_id for c in cases)
    assert {reason for _, reason in refused} <= {SEVERAL, LEFT_OVER, UNBALANCED}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.randoms(use_true_random=False))
def test_order_of_the_cases_decides_nothing(seed, random):
    cases = skewed(300, seed)
    shuffled = random.sample(cases, len(cases))
    first, second = (questions(found, SIZE, TREE, seed)[0] for found in (cases, shuffled))
    assert {q.case.case_id: q.options for q in first} == {q.case.case_id: q.options for q in second}


def test_ambiguous_labels_are_refused():
    made, refused = questions([case(1, NEVUS, "inflammatory")], SIZE, TREE, 0)
    assert made == [] and refused[0][1] == SEVERAL


def test_sets_are_full_and_need_two_options():
    assert option_sets({NEVUS: 3}, SIZE, TREE, 0) == []
    with pytest.raises(UserError, match="at least two"):
        option_sets({NEVUS: 3}, 1, TREE, 0)


def test_a_row_shows_the_names_and_keeps_the_truth_columns():
    options = (NEVUS, "infectious/viral/papillomavirus/common_wart")
    row = rl_row(Question(case(1, NEVUS), options), ["a.png"], TREE)
    assert "It is one of: common nevus; common wart. " in row["prompt"][-1]["content"][-1]["text"]
    assert (row["options"], row["diagnoses"], row["condition"]) == (list(options), [NEVUS], "benign")
    assert "options" not in rl_row(Question(case(1, NEVUS), ()), ["a.png"], TREE)
