"""Metrics against hand-worked examples, scikit-learn and scipy."""

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import f1_score, recall_score

from skinr1.errors import UserError
from skinr1.metrics import condition, hierarchy, outcomes, score, summary_table
from skinr1.metrics.catalogue import HIERARCHICAL_F, SENSITIVITY, TOP1, VALID, catalogue
from skinr1.metrics.estimate import estimates, paired_differences
from skinr1.metrics.fairness import by_group, skin_tone
from skinr1.metrics.outcomes import majority
from skinr1.metrics.scores import INVALID, confusion
from skinr1.metrics.statistics import cluster_sums, resampled_sums, wilson_interval
from skinr1.taxonomy import Bucket, Taxonomy

TREE = Taxonomy.from_yaml("""
version: test
tree:
  neoplasm:
    children:
      benign:
        bucket: benign
        children:
          melanocytic: {children: {nevus: {}, blue_nevus: {}}}
          keratosis: {}
      malignant:
        bucket: malignant
        children:
          melanocytic: {children: {melanoma: {}}}
          bcc: {}
  inflammatory:
    bucket: non_neoplastic
    children:
      eczema: {}
""")
NEVUS = "neoplasm/benign/melanocytic/nevus"
BLUE = "neoplasm/benign/melanocytic/blue_nevus"
KERATOSIS = "neoplasm/benign/keratosis"
MELANOMA = "neoplasm/malignant/melanocytic/melanoma"
BCC = "neoplasm/malignant/bcc"
ECZEMA = "inflammatory/eczema"


def text(diagnosis, condition=None):
    bucket = condition or TREE.bucket(diagnosis) or "benign"
    entry = {"diagnosis": diagnosis, "probability": 0.9, "evidence_for": [], "evidence_against": []}
    report = {
        "schema_version": "v1",
        "findings": [],
        "diagnosis": diagnosis,
        "condition": str(bucket),
        "differential": [entry],
        "confidence": "low",
        "advice": "routine_visit",
        "citations": [],
        "disclaimer": "Research software, not a medical device.",
    }
    return f"<think>because</think>\n{json.dumps(report)}"


def row(number, truth, said, patient=None, tone=None, condition=None):
    """``said``: a node, a (node, condition) pair, or None for an invalid answer."""
    truth = (truth,) if isinstance(truth, str) else truth
    answer = "no report at all" if said is None else text(*((said,) if isinstance(said, str) else said))
    return {
        "case_id": f"c{number:03}",
        "patient_id": patient,
        "source": "test",
        "skin_tone": tone,
        "diagnoses": list(truth),
        "label": None,
        "condition": condition or TREE.bucket(truth[0]),
        "image": "",
        "text": answer,
        "finish_reason": "stop",
    }


def run(*pairs, **extra):
    return outcomes([row(i, truth, said, **extra) for i, (truth, said) in enumerate(pairs)], TREE)


def value(metric, results):
    return estimates([metric], results, TREE, resamples=50)[metric.name].value


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
    found = estimates([TOP1], results, TREE, resamples=4000)["top1"]
    expected = bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.015)
    assert found.method == "bootstrap"


def test_clustering_widens_the_interval():
    """Twenty patients, ten equal cases each: 200 cases carry the information of 20."""
    rows = [row(i, NEVUS, NEVUS if i // 10 % 2 else BLUE, patient=f"p{i // 10}") for i in range(200)]
    alone = [{**r, "patient_id": None} for r in rows]
    clustered, naive = (estimates([TOP1], outcomes(r, TREE), TREE)["top1"] for r in (rows, alone))
    assert clustered.value == naive.value == 0.5
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(10**0.5, rel=0.15)


def test_resampling_is_seeded_and_draws_whole_clusters():
    sums = cluster_sums(np.array([[1.0], [2.0], [4.0]]), ["b", "a", "b"])
    assert sums.tolist() == [[2.0], [5.0]]
    drawn = resampled_sums(sums, 600, seed=3)
    assert set(drawn[:, 0]) == {4.0, 7.0, 10.0}
    assert np.array_equal(drawn, resampled_sums(sums, 600, seed=3))
    assert not np.array_equal(drawn, resampled_sums(sums, 600, seed=4))


def test_no_spread_gets_a_wilson_interval_over_patients():
    rows = [row(i, NEVUS, NEVUS, patient=f"p{i % 10}") for i in range(40)]
    found = estimates([VALID], outcomes(rows, TREE), TREE)[VALID.name]
    assert (found.value, found.high, found.n, found.method) == (1.0, 1.0, 40, "wilson")
    assert found.low == pytest.approx(wilson_interval(10, 10)[0], abs=1e-6)


def test_all_wrong_has_an_interval_wider_than_nothing():
    found = estimates([HIERARCHICAL_F], run(*[(NEVUS, ECZEMA)] * 20), TREE)[HIERARCHICAL_F.name]
    assert (found.value, found.low, found.method) == (0, 0, "wilson") and found.high > 0.1


def test_one_patient_has_no_interval():
    found = estimates([TOP1], run((NEVUS, NEVUS), (NEVUS, BLUE), patient="p"), TREE)["top1"]
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_paired_difference_is_narrower_than_the_two_intervals_and_signed():
    said = np.random.default_rng(0).random(200) < 0.5
    before = run(*((NEVUS, NEVUS if hit else BLUE) for hit in said))
    after = run(*((NEVUS, NEVUS if hit or i % 10 == 0 else BLUE) for i, hit in enumerate(said)))
    found = paired_differences([TOP1], after, before, TREE)["top1"]
    gained = sum(not hit and i % 10 == 0 for i, hit in enumerate(said)) / 200
    assert found.value == pytest.approx(gained)
    assert 0 < found.low < gained < found.high
    single = estimates([TOP1], after, TREE)["top1"]
    assert found.high - found.low < single.high - single.low
    back = paired_differences([TOP1], before, after, TREE)["top1"]
    assert (back.value, back.low, back.high) == (-found.value, -found.high, -found.low)


def test_paired_with_itself_is_exactly_nothing():
    results = run(*[(NEVUS, NEVUS), (BCC, None), (ECZEMA, NEVUS), (MELANOMA, BCC)] * 2)
    for found in paired_differences(catalogue(TREE), results, results, TREE, 50).values():
        assert (found.value, found.low, found.high) == (0, 0, 0)


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
        paired_differences([TOP1], outcomes(rows, TREE), outcomes(change(rows), TREE), TREE)


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


def test_summary_table_shows_intervals_and_what_cannot_be_computed():
    good = score(run(*[(NEVUS, NEVUS), (NEVUS, BLUE)] * 10), TREE, resamples=100)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(summary_table({"base": good, "[SFT]": good}))
    lines = console.export_text()
    assert "[SFT]" in lines and "0.50 [0." in lines and "n/a" in lines and "malignancy sensitivity" in lines


def test_metrics_see_only_the_parsed_report():
    """A text that merely names the right answer earns nothing."""
    answer = row(0, NEVUS, NEVUS)
    (extra,) = outcomes([{**answer, "text": f"{answer['text']} So: {NEVUS}."}], TREE)
    assert extra.answer is None and extra.invalid.reason == "json" and hierarchy.top1(extra, TREE) == 0
