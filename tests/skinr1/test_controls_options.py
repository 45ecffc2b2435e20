"""Option order: every option in every place once, answers read back, and what a biased model shows."""

import numpy as np
import pytest

from skinr1.cases import Case, Role
from skinr1.controls.options import SIZE, Choices, by_place, cochran_q, metrics
from skinr1.metrics.comparison import mcnemar
from skinr1.metrics.estimate import estimates
from tests.skinr1.outcome_rows import BCC, ECZEMA, INFECTION, KERATOSIS, MELANOMA, NEVUS, TREE, run

LABELS = [NEVUS, MELANOMA, ECZEMA, BCC, INFECTION, KERATOSIS]


def made(number, node):
    given = {"case_id": f"c{number:03}", "source": "s", "images": (f"{number}.png",), "role": Role.SPARSE}
    return Case(**given, diagnoses=(node,), licence="CC0")


CASES = [made(n, LABELS[n % 6]) for n in range(48)]


def test_every_option_stands_in_every_place_once_and_the_words_are_those_listed():
    choices = Choices.of(CASES, 100, 0, TREE)
    assert len(choices.cases) == 48 and choices.asked_openly == 0
    for case in choices.cases:
        listed = [choices.listed(case, turn) for turn in range(SIZE)]
        for place in range(SIZE):
            assert sorted(options[place] for options in listed) == sorted(listed[0])
    first = choices.cases[0]
    asked = [one.question(first) for one in choices.rounds().values()]
    assert len(set(asked)) == SIZE == len(asked)
    names = [TREE.node(nodes[0]).name for nodes in choices.listed(first, 1)]
    assert "; ".join(names) in asked[1]


def test_a_subtype_names_its_option_and_another_node_none():
    choices = Choices.of(
        [made(n, node) for n, node in enumerate(["neoplasm/benign", MELANOMA, ECZEMA, BCC])], 9, 0, TREE
    )
    case = choices.cases[0]
    at = choices.options[case.case_id].index(("neoplasm/benign",))
    assert choices.place(case, 0, NEVUS) == at and choices.place(case, 1, NEVUS) == (at - 1) % SIZE
    assert choices.place(case, 0, INFECTION) == choices.place(case, 0, None) == -1


def test_few_cases_of_one_kind_make_no_question():
    assert Choices.of([made(0, NEVUS)], 9, 0, TREE).rounds() == {}
    assert Choices.of(CASES, 0, 0, TREE).rounds() == {}
    assert len(Choices.of(CASES, 12, 0, TREE).cases) + Choices.of(CASES, 12, 0, TREE).asked_openly == 12


def numbers(answers):
    """Estimates for a rule (case, turn) -> place of the option that is named."""
    choices = Choices.of(CASES, 100, 0, TREE)
    true = np.array([choices.options[case.case_id].index(case.diagnoses) for case in choices.cases])
    places = np.array([[answers(n, turn, true[n]) for turn in range(SIZE)] for n in range(48)])
    at = (true[:, None] - np.arange(SIZE)) % SIZE
    right = by_place(places == at, true)
    found = estimates(metrics(places, right), run(*[(NEVUS, NEVUS)] * 48), 50)
    return {name: estimate.value for name, estimate in found.items()}, right


def test_a_model_that_knows_is_the_same_in_every_order():
    found, right = numbers(lambda n, turn, true: (true - turn) % SIZE)
    assert found["top1"] == found["same_in_every_order"] == 1 and found["named_in_place_1"] == 0.25
    assert cochran_q(right) == (0.0, 1.0)


def test_a_model_that_always_takes_the_first_is_found_out():
    found, right = numbers(lambda n, turn, true: 0)
    assert found["top1"] == 0.25 and found["same_in_every_order"] == 0 and found["named_in_place_1"] == 1
    assert [found[f"right_in_place_{at}"] for at in range(1, 5)] == [1, 0, 0, 0]
    assert cochran_q(right)[1] < 1e-9


def test_no_option_is_none_named_and_never_the_same():
    found, _ = numbers(lambda n, turn, true: -1)
    assert found["none_named"] == 1 and found["same_in_every_order"] == 0 and found["top1"] == 0


def test_cochrans_q_of_two_columns_is_mcnemars_and_of_three_is_worked_by_hand():
    one = np.array([1] * 9 + [0] * 3 + [1] * 5, dtype=bool)
    other = np.array([0] * 9 + [1] * 3 + [1] * 5, dtype=bool)
    b, c, _ = mcnemar(one, other)
    assert cochran_q(np.stack([one, other], axis=1))[0] == pytest.approx((b - c) ** 2 / (b + c))
    # columns 3, 2, 1; rows 3, 2, 1: 2 * (3 * 14 - 36) / (3 * 6 - 14) = 3
    assert cochran_q(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=bool))[0] == pytest.approx(3)
