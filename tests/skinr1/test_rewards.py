"""Rewards: the paper's worked examples, and what must hold for every pair of nodes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.report import Answer, parse, render
from skinr1.rewards import Truth, path_credit, reward_functions
from skinr1.rewards.presets import total
from skinr1.taxonomy import Bucket, Taxonomy
from tests.recipes.runs import MELANOMA, NEVUS, answer

TREE = Taxonomy.load()
PATH = TREE.path(MELANOMA)
SIBLING = "neoplasm/malignant/melanocytic/nodular_melanoma"
TRUTH = Truth((MELANOMA,), Bucket.MALIGNANT)
NODES = st.sampled_from(list(TREE.nodes))


def said(node: str, condition: Bucket = Bucket.MALIGNANT) -> Answer:
    """A valid answer with that diagnosis and condition."""
    good = parse(answer(MELANOMA), TREE)
    return Answer(good.thinking, good.report.model_copy(update={"diagnosis": node, "condition": condition}))


@pytest.mark.parametrize(
    ("node", "credit"),
    [(PATH[0], 0.1875), (PATH[1], 0.375), (PATH[2], 0.5625), (PATH[3], 0.75), (SIBLING, 0.0), (NEVUS, 0.0)],
)
def test_worked_examples_of_a_path_of_four(node: str, credit: float):
    assert len(PATH) == 4
    assert 0.75 * path_credit(said(node), TRUTH, TREE) == credit


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (said(MELANOMA), 2.0),
        (said(PATH[2]), 1 + 0.5625 + 0.25),
        (said(SIBLING), 1.25),
        (said(MELANOMA, Bucket.BENIGN), 1.75),
        (said(NEVUS, Bucket.BENIGN), 1.0),
        (None, 0.0),
    ],
)
def test_preset_skin_r1_adds_format_hierarchy_and_condition(spoken: Answer | None, expected: float):
    assert total(spoken, TRUTH, TREE) == pytest.approx(expected)


def test_a_descendant_of_the_truth_is_not_on_its_path():
    assert path_credit(said(MELANOMA), Truth((PATH[2],), Bucket.MALIGNANT), TREE) == 0.0


def test_any_of_several_true_nodes_is_right():
    assert path_credit(said(NEVUS), Truth((MELANOMA, NEVUS), None), TREE) == 1.0


def test_an_unknown_condition_earns_nothing():
    assert total(said(MELANOMA), Truth((MELANOMA,), None), TREE) == pytest.approx(1.75)


@given(truth=NODES, guess=NODES, condition=st.sampled_from(list(Bucket)))
def test_bounded_and_best_for_the_truth_itself(truth: str, guess: str, condition: Bucket):
    known = Truth((truth,), Bucket.BENIGN)
    reward = total(said(guess, condition), known, TREE)
    assert 0 <= reward <= total(said(truth, Bucket.BENIGN), known, TREE) == pytest.approx(2.0)


@given(truth=NODES)
def test_credit_rises_with_depth_along_the_path(truth: str):
    credits = [path_credit(said(node), Truth((truth,), None), TREE) for node in TREE.path(truth)]
    assert credits == sorted(set(credits))


def test_trl_signature_reads_text_through_the_one_parser():
    functions, weights = reward_functions("skin_r1", TREE)
    texts = [render(said(MELANOMA)), render(said(MELANOMA)) + "{}", "", "Option B"]
    columns: dict[str, Any] = {
        "prompts": [None] * 4,
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "diagnoses": [[MELANOMA]] * 4,
        "condition": ["malignant"] * 4,
        "case_id": ["a", "b", "c", "d"],
    }
    scores = {function.__name__: function(**columns) for function in functions}
    assert scores == {"format": [1, 0, 0, 0], "hierarchy": [1, 0, 0, 0], "condition": [1, 0, 0, 0]}
    assert weights == [1.0, 0.75, 0.25]


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match="skin_r1"):
        reward_functions("nope", TREE)


def test_a_completion_may_be_text_or_parts(taxonomy: Taxonomy):
    text = render(said(MELANOMA))
    parts = [{"type": "text", "text": text[:40]}, {"type": "text", "text": text[40:]}]
    for completion in (text, [{"role": "assistant", "content": parts}]):
        for function in reward_functions("skin_r1", taxonomy)[0]:
            assert function(prompts=[None], completions=[completion], diagnoses=[[MELANOMA]], condition=[None]) == [
                0.0 if function.__name__ == "condition" else 1.0
            ]


def test_a_diagnosis_outside_the_tree_is_outside_the_contract(taxonomy: Taxonomy):
    text = render(said(MELANOMA)).replace(MELANOMA, f"{MELANOMA}_of_the_moon")
    for function in reward_functions("skin_r1", taxonomy)[0]:
        assert function(prompts=[None], completions=[text], diagnoses=[[MELANOMA]], condition=["malignant"]) == [0.0]


@pytest.mark.parametrize("short", ["diagnoses", "condition"])
def test_columns_of_unequal_length_stop_the_run(short: str, taxonomy: Taxonomy):
    columns: dict[str, Any] = {"diagnoses": [[MELANOMA]] * 2, "condition": ["malignant"] * 2}
    columns[short] = columns[short][:1]
    for function in reward_functions("skin_r1", taxonomy)[0]:
        with pytest.raises(ValueError, match=r"shorter|longer"):
            function(prompts=[None] * 2, completions=[""] * 2, **columns)
