"""Ranked lists, classes by level, operating point and crossings, against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, label_ranking_average_precision_score, roc_auc_score

from skinr1.metrics import condition, ranking
from skinr1.metrics.catalogue import catalogue
from skinr1.metrics.estimate import estimates
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
    row,
    run,
    seen,
)

NODES = [NEVUS, BLUE, KERATOSIS, MELANOMA, BCC, ECZEMA, INFECTION]


def listed(number, truth, nodes, probabilities, **changes):
    """A row whose report ranks several nodes."""
    made = row(number, truth, nodes[0])
    head, _, body = made["text"].partition("\n")
    report = json.loads(body)
    report["differential"] = [
        {"diagnosis": node, "probability": p, "evidence_for": [], "evidence_against": []}
        for node, p in zip(nodes, probabilities, strict=True)
    ]
    return {**made, "text": f"{head}\n{json.dumps(report)}", **changes}


def numbers(found):
    return {name: estimate.value for name, estimate in estimates(catalogue(ARRAYS), found, 5).items()}


def test_top_k_and_mrr_by_hand_and_as_sklearn_has_it():
    rows = [
        listed(0, NEVUS, [NEVUS, BCC], [0.5, 0.4]),
        listed(1, NEVUS, [BCC, MELANOMA, NEVUS], [0.5, 0.3, 0.1]),
        listed(2, NEVUS, [BCC, MELANOMA], [0.5, 0.3]),
        row(3, NEVUS, None),
    ]
    found = numbers(seen(rows))
    assert [found[f"top{k}"] for k in range(1, 7)] == [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert found["mrr"] == pytest.approx((1 + 1 / 3) / 4, abs=1e-6)
    hits = np.array([[False, True, False], [True, False, False], [False, False, True]])
    expected = label_ranking_average_precision_score(hits, np.tile([3, 2, 1], (3, 1)))
    assert ranking.reciprocal_rank(hits).mean() == pytest.approx(expected)


def test_a_list_longer_than_the_diagnosis_counts_each_node_once():
    """The leading diagnosis and its own entry in the differential are one rank."""
    assert (run((NEVUS, NEVUS)).columns.ranking[0] >= 0).sum() == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [1, 2, 4])
def test_scores_of_a_level_agree_with_sklearn(level, seed):
    draw = np.random.default_rng(seed)
    deep = [node for node in NODES if TREE.node(node).depth >= level]
    pairs = [(str(draw.choice(deep)), str(draw.choice(NODES))) for _ in range(60)]
    truth = ["/".join(true.split("/")[:level]) for true, _ in pairs]
    said = ["/".join(node.split("/")[:level]) if TREE.node(node).depth >= level else "above" for _, node in pairs]
    found = numbers(run(*pairs))
    classes = sorted(set(truth))
    f1 = f1_score(truth, said, labels=classes, average="macro", zero_division=0)
    assert found[f"level_{level}_macro_f1"] == pytest.approx(f1, abs=1e-6)
    balanced = balanced_accuracy_score(truth, said)
    assert found[f"level_{level}_balanced_accuracy"] == pytest.approx(balanced, abs=1e-6)
    assert found[f"level_{level}_accuracy"] == pytest.approx(np.mean(np.array(truth) == np.array(said)), abs=1e-6)


def test_auroc_agrees_with_sklearn_and_silence_takes_the_worst_place():
    draw = np.random.default_rng(0)
    rows, truth, mass = [], [], []
    for number in range(80):
        true, p = (MELANOMA, 0.4) if draw.random() < 0.4 else (NEVUS, 0.2)
        p = round(min(1.0, max(0.0, p + draw.normal(0, 0.2))), 2)
        rows.append(listed(number, true, [NEVUS, BCC], [round(1 - p, 2), p]))
        truth.append(true == MELANOMA)
        mass.append(p)
    found = numbers(seen(rows))["malignancy_auroc"]
    assert found == pytest.approx(roc_auc_score(truth, mass), abs=1e-6)
    silent = [row(100, MELANOMA, None), row(101, NEVUS, None)]
    expected = roc_auc_score([*truth, True, False], [*mass, -1, 2])
    assert numbers(seen([*rows, *silent]))["malignancy_auroc"] == pytest.approx(expected, abs=1e-6)


def test_roc_points_by_hand():
    counts = np.zeros(2 * condition.STEPS)
    counts[[11, 61]] = [3, 1]  # not malignant
    counts[[condition.STEPS + 61, condition.STEPS + 91]] = [1, 1]
    assert condition.roc(counts) == [(0.1, 1.0, 1.0), (0.6, 0.25, 1.0), (0.9, 0.0, 0.5)]
    assert condition.auroc(counts) == pytest.approx((3 + 0.5 + 4) / 8)


@pytest.mark.parametrize(
    ("truth", "said", "critical", "direction"),
    [
        (MELANOMA, NEVUS, 1, "malignant_called_benign"),
        (NEVUS, MELANOMA, 1, "benign_called_malignant"),
        (INFECTION, ECZEMA, 1, "infectious_called_not"),
        (ECZEMA, INFECTION, 1, "not_infectious_called_so"),
        (NEVUS, BLUE, 0, None),
        (MELANOMA, BCC, 0, None),
        (MELANOMA, None, 1, "malignant_called_benign"),
    ],
)
def test_safety_critical_errors_and_their_direction(truth, said, critical, direction):
    found = numbers(run((truth, said)))
    assert found["safety_critical_error"] == critical
    names = ("malignant_called_benign", "benign_called_malignant", "infectious_called_not", "not_infectious_called_so")
    happened = {name for name in names if found[name]}
    assert (direction is None and not happened) or direction in happened


def test_average_overlap_by_hand():
    """Stutz et al.: two lists a b c and b a c agree at depths 1, 2, 3 by 0, 1 and 1."""
    ours, theirs = (ranking.shares(np.array(scores, float), 3) for scores in ([3, 2, 1], [2, 3, 1]))
    assert ranking.average_overlap(ours, theirs) == pytest.approx((0 + 1 + 1) / 3)
    assert ranking.average_overlap(ours, ours) == pytest.approx(1)
    assert ranking.average_overlap(ours, np.zeros_like(ours)) == 0


def test_average_overlap_with_ties_shares_their_places():
    tied, single = ranking.shares(np.array([1.0, 1.0]), 2), ranking.shares(np.array([2.0, 1.0]), 2)
    assert tied.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    between = (0.5 / 1 + 2 / 2) / 2
    own = (0.5 / 1 + 2 / 2) / 2
    assert ranking.average_overlap(tied, single) == pytest.approx(between / np.sqrt(own * 1.0))
    assert ranking.average_overlap(tied, tied) == pytest.approx(1)


def test_mean_shares_say_as_much_as_all_samples():
    draw = np.random.default_rng(0)
    ours = ranking.shares(np.array([3.0, 1.0, 2.0, 0.0]), 6)
    samples = [ranking.shares(draw.random(4), 6) for _ in range(50)]
    one_by_one = np.mean([ranking.average_overlap(ours, sample) for sample in samples])
    assert ranking.expected_overlap(ours, np.mean(samples, axis=0), np.array(4)) == pytest.approx(one_by_one)
