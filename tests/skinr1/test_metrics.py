"""Metrics against hand-worked examples and scikit-learn."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score

from skinr1.errors import UserError
from skinr1.metrics import condition, hierarchy, outcomes
from skinr1.metrics.catalogue import HIERARCHICAL_F, SENSITIVITY, TOP1, VALID, Seen, catalogue
from skinr1.metrics.estimate import estimates
from skinr1.metrics.fairness import by_group, tones
from skinr1.metrics.majority import majority
from skinr1.metrics.scores import INVALID, confusion, score
from skinr1.metrics.tree import BUCKETS, NONE
from skinr1.taxonomy import Bucket
from tests.skinr1.outcome_rows import (
    ARRAYS,
    BCC,
    BLUE,
    ECZEMA,
    INFECTION,
    KERATOSIS,
    MELANOMA,
    NEVUS,
    TREE,
    full_row,
    row,
    run,
    seen,
    value,
)

METRICS = {metric.name: metric for metric in catalogue(ARRAYS)}


def test_the_example_concerns_every_metric_of_the_catalogue():
    assert all(e.n and e.value is not None for e in estimates(catalogue(ARRAYS), seen(everything()), 5).values())


def everything():
    """Right answers to cases that every metric concerns."""
    truths = [NEVUS, MELANOMA, ECZEMA, BCC, INFECTION]
    return [full_row(i, truth, truth) for i, truth in enumerate(truths)]


@pytest.mark.parametrize("name", METRICS)
def test_invalid_answers_stay_in_the_denominator_and_never_help(name):
    rows = everything()
    silent = [{**r, "case_id": f"s{r['case_id']}", "text": "no report at all"} for r in rows]
    (before, after) = (estimates([METRICS[name]], seen(r), 5)[name] for r in (rows, rows + silent))
    assert after.n == 2 * before.n > 0
    worse = after.value < before.value if METRICS[name].higher else after.value > before.value
    assert worse, (before, after)


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
    assert run((truth, said)).placed.ancestor_counts.tolist() == [[shared, predicted, true]]


def test_micro_hierarchical_scores_by_hand():
    results = run((NEVUS, BLUE), (BCC, MELANOMA), (ECZEMA, None))
    # shared 3 + 2 + 0, predicted 4 + 4 + 2 (an invalid answer counts as deep as the truth), true 4 + 3 + 2
    found = {name: e.value for name, e in estimates(catalogue(ARRAYS), results, 20).items()}
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
    placed = run((truth, said)).placed
    assert placed.depth_credit() == pytest.approx([credit])
    assert placed.tree_distance() == [distance]


def test_hierarchy_bounds():
    """Every pair of nodes."""
    pairs = [(truth, said) for truth in TREE.nodes for said in TREE.nodes]
    run_of = run(*pairs)
    placed, order = run_of.placed, [int(case[1:]) for case in run_of.columns.case_id]
    pairs = [pairs[place] for place in order]
    right = np.array([truth in TREE.path(said) for truth, said in pairs])
    assert ((placed.depth_credit() >= 0) & (placed.depth_credit() <= 1)).all()
    assert np.array_equal(placed.case_f() == 1, right) and np.array_equal(placed.tree_distance() == 0, right)
    assert np.array_equal(placed.hits[:, 0], right)
    for (truth, said), shared in zip(pairs, ARRAYS.shared_depth(placed.truths[:, 0], run_of.columns.said), strict=True):
        assert shared == hierarchy.shared_depth(truth, said, TREE)
    hits = []
    for level in range(1, 5):
        true, said = placed.level_classes(level)
        assert np.array_equal(true == NONE, [TREE.node(truth).depth < level for truth, _ in pairs])
        hits.append(np.where(true == NONE, np.nan, true == said))
    assert all((lower <= upper)[~np.isnan(lower)].all() for upper, lower in pairwise(hits))
    silent = run(*((truth, None) for truth, _ in pairs)).placed
    assert (silent.tree_distance() >= placed.tree_distance()).all()


def test_level_accuracy_counts_cases_deep_enough():
    results = run((NEVUS, BLUE), (NEVUS, "neoplasm"), (ECZEMA, NEVUS), (BCC, None))
    found = estimates(catalogue(ARRAYS), results, 20)
    assert [found[f"level_{i}_accuracy"].n for i in range(1, 5)] == [4, 4, 3, 2]
    assert [found[f"level_{i}_accuracy"].value for i in range(1, 5)] == [0.5, 0.25, pytest.approx(1 / 3, abs=1e-6), 0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Bucket)), st.sampled_from([*Bucket, None])), min_size=1, max_size=30))
def test_condition_scores_agree_with_sklearn(pairs):
    rows = [row(i, NEVUS, None if b is None else (NEVUS, b), condition=a) for i, (a, b) in enumerate(pairs)]
    found = {name: e.value for name, e in estimates(catalogue(ARRAYS), seen(rows), 5).items()}
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
    one = run((MELANOMA, (MELANOMA, "benign"))).columns
    assert condition.sensitivity(one, condition.stated_malignant(one)) == 0
    assert condition.sensitivity(one, condition.diagnosed_malignant(one, ARRAYS)) == 1
    group = run((NEVUS, ("neoplasm", "benign"))).columns  # a node whose members differ flags nothing
    assert condition.specificity(group, condition.diagnosed_malignant(group, ARRAYS)) == 1


def test_unknown_condition_is_outside_condition_metrics_only():
    results = run(("neoplasm", "neoplasm"))
    found = estimates(catalogue(ARRAYS), results, 5)
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
        ([{**row(0, NEVUS, NEVUS), "readers": [[[NEVUS], [BCC, NEVUS]]]}], r"ranks a diagnosis twice"),
    ],
)
def test_bad_rows_stop_with_one_line(rows, message):
    with pytest.raises(UserError, match=message) as caught:
        outcomes(rows, TREE, "p.jsonl")
    assert "\n" not in str(caught.value)


def test_majority_class_baseline():
    results = run((NEVUS, BLUE), (NEVUS, None), (BCC, BCC))
    constant = Seen(majority(results.columns, ARRAYS), ARRAYS)
    assert {ARRAYS.ids[node] for node in constant.columns.said} == {NEVUS}
    assert value(TOP1, constant) == pytest.approx(2 / 3, abs=1e-6)
    assert value(SENSITIVITY, constant) == 0
    assert value(VALID, constant) == 1
    found = score(results.columns, TREE, resamples=20)["majority_class"]
    assert found["diagnosis"] == NEVUS
    assert found["paired"]["top1"]["value"] == pytest.approx(-1 / 3, abs=1e-6)


def test_majority_class_does_not_contradict_itself():
    """Most cases malignant, most frequent diagnosis benign: the constant answer is benign in both."""
    results = run((NEVUS, NEVUS), (NEVUS, NEVUS), (BCC, BCC), (MELANOMA, MELANOMA))
    constant = majority(results.columns, ARRAYS)
    said = {(ARRAYS.ids[node], BUCKETS[b]) for node, b in zip(constant.said, constant.said_bucket, strict=True)}
    assert said == {(NEVUS, Bucket.BENIGN)}
    assert value(SENSITIVITY, Seen(constant, ARRAYS)) == 0


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
    found = by_group(seen(rows), tones(seen(rows)), resamples=20)
    assert list(found) == ["fitzpatrick 1", "fitzpatrick 5", "unknown"]
    assert [(g["n"], g["top1"]["value"]) for g in found.values()] == [(1, 1), (2, 0.5), (1, 0)]
    assert found["fitzpatrick 1"]["top1"]["low"] is None


def test_confusion_keeps_invalid_and_adds_up():
    results = run((NEVUS, MELANOMA), (NEVUS, None), (ECZEMA, "neoplasm"))
    found = confusion(results)
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
    found = score(seen(rows).columns, TREE, resamples=20)
    assert found["invalid"] == {"json": 1, "think": 2}
    assert (found["cut_off"], found["inconsistent"], sum(found["inconsistencies"].values())) == (1, 1, 1)
    assert json.dumps(found) == json.dumps(score(seen(rows[::-1]).columns, TREE, resamples=20))


def test_micro_f_is_the_catalogue_f_of_the_headline():
    results = run((NEVUS, BLUE), (BCC, MELANOMA))
    assert value(HIERARCHICAL_F, results) == pytest.approx(2 * 5 / (8 + 7), abs=1e-6)


def test_metrics_see_only_the_parsed_report():
    """A text that merely names the right answer earns nothing."""
    answer = row(0, NEVUS, NEVUS)
    (extra,) = outcomes([{**answer, "text": f"{answer['text']} So: {NEVUS}."}], TREE)
    assert extra.answer is None and extra.invalid.reason == "json" and hierarchy.top1(extra, TREE) == 0
