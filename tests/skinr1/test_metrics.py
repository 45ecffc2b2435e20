"""Metrics against hand-worked examples and scikit-learn."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score

from skinr1.errors import UserError
from skinr1.metrics import condition, hierarchy, outcomes, score
from skinr1.metrics.catalogue import HIERARCHICAL_F, SENSITIVITY, TOP1, VALID, catalogue
from skinr1.metrics.estimate import estimates
from skinr1.metrics.fairness import by_group, skin_tone
from skinr1.metrics.outcomes import majority
from skinr1.metrics.scores import INVALID, confusion
from skinr1.taxonomy import Bucket
from tests.skinr1.outcome_rows import BCC, BLUE, ECZEMA, KERATOSIS, MELANOMA, NEVUS, TREE, row, run, value


def test_invalid_answers_stay_in_every_denominator():
    pairs = [(NEVUS, NEVUS), (MELANOMA, MELANOMA), (ECZEMA, ECZEMA), (BCC, BCC)]
    silent = [(truth, None) for truth, _ in pairs]
    before = score(run(*pairs), TREE, resamples=20)["metrics"]
    after = score(run(*pairs, *silent), TREE, resamples=20)["metrics"]
    for name, estimate in before.items():
        assert after[name]["n"] == 2 * estimate["n"], name
    for name in before.keys() - {"hierarchical_precision", "tree_distance"}:
        assert after[name]["value"] < before[name]["value"], name
    assert after["tree_distance"]["value"] > before["tree_distance"]["value"]
    assert after["top1"]["value"] == after["malignancy_sensitivity"]["value"] == 0.5
    assert after["malignancy_specificity"]["value"] == 0.5


@pytest.mark.parametrize(
    ("truth", "said", "shared", "predicted", "true"),
    [
        (NEVUS, NEVUS, 4, 4, 4),
        (NEVUS, BLUE, 3, 4, 4),
        (NEVUS, "neoplasm/benign", 2, 2, 4),
        (NEVUS, MELANOMA, 1, 4, 4),  # both lie in a "melanocytic", but not in the same one
        (NEVUS, ECZEMA, 0, 2, 4),
        (NEVUS, None, 0, 4, 4),
        ((NEVUS, BCC), BCC, 3, 3, 3),  # the truth that suits best
        ((BCC, NEVUS), None, 0, 4, 4),  # the deepest, when nothing suits
        ((BCC, NEVUS), ECZEMA, 0, 2, 4),
    ],
)
def test_ancestor_counts(truth, said, shared, predicted, true):
    (result,) = run((truth, said))
    assert hierarchy.ancestor_counts(result, TREE) == (shared, predicted, true)


def test_micro_hierarchical_scores_by_hand():
    results = run((NEVUS, BLUE), (BCC, MELANOMA), (ECZEMA, None))
    # shared 3 + 2 + 0, predicted 4 + 4 + 2 (an invalid answer counts as deep as the truth), true 4 + 3 + 2
    found = {name: e.value for name, e in estimates(catalogue(TREE), results, TREE, 20).items()}
    assert found["hierarchical_precision"] == pytest.approx(5 / 10)
    assert found["hierarchical_recall"] == pytest.approx(5 / 9, abs=1e-6)
    assert found["hierarchical_f"] == pytest.approx(2 * (5 / 10) * (5 / 9) / (5 / 10 + 5 / 9), abs=1e-6)
    assert found["hierarchical_f_by_case"] == pytest.approx((6 / 8 + 4 / 7 + 0) / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "said", "credit", "distance"),
    [
        (NEVUS, NEVUS, 1, 0),
        (NEVUS, BLUE, 3 / 4, 2),
        (NEVUS, MELANOMA, 1 / 4, 6),
        (NEVUS, ECZEMA, 0, 6),
        ((NEVUS, KERATOSIS), "neoplasm/benign", 2 / 3, 1),
        (ECZEMA, None, 0, 2 + 4),
    ],
)
def test_depth_credit_and_distance(truth, said, credit, distance):
    (result,) = run((truth, said))
    assert hierarchy.depth_credit(result, TREE) == pytest.approx(credit)
    assert hierarchy.tree_distance(result, TREE) == distance


@given(st.sampled_from(list(TREE.nodes)), st.sampled_from(list(TREE.nodes)))
def test_hierarchy_bounds(truth, said):
    (result,) = outcomes([row(0, truth, said)], TREE)
    assert 0 <= hierarchy.depth_credit(result, TREE) <= 1
    right = truth in TREE.path(said)
    assert (hierarchy.case_f(result, TREE) == 1) == right == (hierarchy.tree_distance(result, TREE) == 0)
    hits = [hierarchy.level_hit(result, TREE, level) for level in range(1, 5)]
    assert [hit is None for hit in hits] == [level > TREE.node(truth).depth for level in range(1, 5)]
    known = [hit for hit in hits if hit is not None]
    assert all(upper >= lower for upper, lower in pairwise(known))
    silent = outcomes([row(0, truth, None)], TREE)[0]
    assert hierarchy.tree_distance(silent, TREE) >= hierarchy.tree_distance(result, TREE)


def test_level_accuracy_counts_cases_deep_enough():
    results = run((NEVUS, BLUE), (NEVUS, "neoplasm"), (ECZEMA, NEVUS), (BCC, None))
    found = estimates(catalogue(TREE), results, TREE, 20)
    assert [found[f"level_{i}_accuracy"].n for i in range(1, 5)] == [4, 4, 3, 2]
    assert [found[f"level_{i}_accuracy"].value for i in range(1, 5)] == [0.5, 0.25, pytest.approx(1 / 3, abs=1e-6), 0]


BUCKETS = list(Bucket)


@given(st.lists(st.tuples(st.sampled_from(BUCKETS), st.sampled_from([*BUCKETS, None])), min_size=1, max_size=30))
def test_condition_scores_agree_with_sklearn(pairs):
    rows = [row(i, NEVUS, None if b is None else (NEVUS, b), condition=a) for i, (a, b) in enumerate(pairs)]
    found = {name: e.value for name, e in estimates(catalogue(TREE), outcomes(rows, TREE), TREE, 5).items()}
    truth, said = [str(a) for a, _ in pairs], [str(b) for _, b in pairs]
    expected = f1_score(truth, said, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert found["condition_macro_f1"] == pytest.approx(expected, abs=1e-6)
    malignant = np.array([a is Bucket.MALIGNANT for a, _ in pairs])
    flagged = np.array([b is Bucket.MALIGNANT for _, b in pairs])
    if malignant.any():
        assert found["malignancy_sensitivity"] == pytest.approx(recall_score(malignant, flagged), abs=1e-6)
    else:
        assert found["malignancy_sensitivity"] is None
    cleared = np.array([b not in (None, Bucket.MALIGNANT) for _, b in pairs])
    if (~malignant).any():
        assert found["malignancy_specificity"] == pytest.approx(recall_score(~malignant, cleared), abs=1e-6)


def test_malignancy_by_diagnosis_is_another_question_than_the_stated_condition():
    (result,) = run((MELANOMA, (MELANOMA, "benign")))
    assert condition.sensitivity(result, TREE) == 0
    assert condition.sensitivity(result, TREE, condition.of_diagnosis) == 1
    (group,) = run((NEVUS, ("neoplasm", "benign")))  # a node whose members differ flags nothing
    assert condition.specificity(group, TREE, condition.of_diagnosis) == 1


def test_unknown_condition_is_outside_condition_metrics_only():
    results = outcomes([row(0, "neoplasm", "neoplasm")], TREE)
    found = estimates(catalogue(TREE), results, TREE, 5)
    assert found["condition_accuracy"].n == found["malignancy_specificity"].n == 0
    assert found["condition_macro_f1"].value is None
    assert found["top1"].n == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no predictions: p.jsonl"),
        ([row(0, NEVUS, NEVUS), row(0, NEVUS, NEVUS)], r"answered twice: p.jsonl:2 \(c000\)"),
        ([{**row(0, NEVUS, NEVUS), "diagnoses": []}], r"diagnoses: .*: p.jsonl:1"),
        ([{**row(0, NEVUS, NEVUS), "diagnoses": ["nevus"]}], "no such diagnosis path"),
        ([{"case_id": "a"}], r"p.jsonl:1"),
    ],
)
def test_bad_rows_stop_with_one_line(rows, message):
    with pytest.raises(UserError, match=message) as caught:
        outcomes(rows, TREE, "p.jsonl")
    assert "\n" not in str(caught.value)


def test_majority_class_baseline():
    results = run((NEVUS, BLUE), (NEVUS, None), (BCC, BCC))
    constant = majority(results, TREE)
    assert {o.predicted for o in constant} == {NEVUS}
    assert value(TOP1, constant) == pytest.approx(2 / 3, abs=1e-6)
    assert value(SENSITIVITY, constant) == 0
    assert value(VALID, constant) == 1
    found = score(results, TREE, resamples=20)["majority_class"]
    assert found["diagnosis"] == NEVUS
    assert found["paired"]["top1"]["value"] == pytest.approx(-1 / 3, abs=1e-6)


def test_majority_class_does_not_contradict_itself():
    """Most cases malignant, most frequent diagnosis benign: the constant answer is benign in both."""
    constant = majority(run((NEVUS, NEVUS), (NEVUS, NEVUS), (BCC, BCC), (MELANOMA, MELANOMA)), TREE)
    assert {(o.predicted, o.predicted_condition) for o in constant} == {(NEVUS, Bucket.BENIGN)}
    assert value(SENSITIVITY, constant) == 0


def test_silence_is_never_cheaper_than_a_wrong_answer():
    right = [(NEVUS, NEVUS)] * 5
    silent, wrong = run(*right, *[(NEVUS, None)] * 5), run(*right, *[(NEVUS, ECZEMA)] * 5)
    assert value(HIERARCHICAL_F, silent) <= value(HIERARCHICAL_F, wrong) == pytest.approx(4 / 7, abs=1e-6)
    assert value(HIERARCHICAL_F, silent) == pytest.approx(0.5, abs=1e-6)


def test_tones_unknown_is_its_own_row():
    rows = [
        row(0, NEVUS, NEVUS, tone="fitzpatrick 5"),
        row(1, NEVUS, None, tone="fitzpatrick 5"),
        row(2, NEVUS, NEVUS, tone="fitzpatrick 1"),
        row(3, NEVUS, BLUE),
    ]
    found = by_group(outcomes(rows, TREE), skin_tone, TREE, 20)
    assert list(found) == ["fitzpatrick 1", "fitzpatrick 5", "unknown"]
    assert [(g["n"], g["top1"]["value"]) for g in found.values()] == [(1, 1), (2, 0.5), (1, 0)]
    assert found["fitzpatrick 1"]["top1"]["low"] is None


def test_confusion_keeps_invalid_and_adds_up():
    results = run((NEVUS, MELANOMA), (NEVUS, None), (ECZEMA, "neoplasm"))
    found = confusion(results, TREE)
    assert found["columns"][-1] == INVALID
    assert np.sum(found["counts"]) == 3
    assert found["counts"][found["rows"].index("neoplasm/benign")][-1] == 1


def test_scores_count_reasons_and_contradictions_and_do_not_depend_on_row_order():
    rows = [
        row(0, NEVUS, None),
        row(1, NEVUS, (NEVUS, "malignant")),
        {**row(2, NEVUS, None), "finish_reason": "length"},
        {**row(3, NEVUS, None), "text": "<think>a</think>{"},
    ]
    found = score(outcomes(rows, TREE), TREE, resamples=20)
    assert found["invalid"] == {"json": 1, "think": 2}
    assert (found["cut_off"], found["inconsistent"], sum(found["inconsistencies"].values())) == (1, 1, 1)
    assert json.dumps(found) == json.dumps(score(outcomes(rows[::-1], TREE), TREE, resamples=20))


def test_micro_f_is_the_catalogue_f_of_the_headline():
    results = run((NEVUS, BLUE), (BCC, MELANOMA))
    assert value(HIERARCHICAL_F, results) == pytest.approx(2 * 5 / (8 + 7), abs=1e-6)


def test_metrics_see_only_the_parsed_report():
    """A text that merely names the right answer earns nothing."""
    answer = row(0, NEVUS, NEVUS)
    (extra,) = outcomes([{**answer, "text": f"{answer['text']} So: {NEVUS}."}], TREE)
    assert extra.answer is None and extra.invalid.reason == "json" and hierarchy.top1(extra, TREE) == 0
