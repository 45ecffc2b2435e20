"""Uncertain ground truth: by hand, against closed forms, and against every weighted label of SCIN."""

import ast
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skinr1.metrics.scores import score
from skinr1.metrics.uncertain.adjusted import Met
from skinr1.metrics.uncertain.irn import by_confidence, committees, irn, largest_difference
from skinr1.metrics.uncertain.plausibilities import certainty, plackett_luce, prirn
from skinr1.metrics.uncertain.ranked import Ranked, pattern
from skinr1.metrics.uncertain.readers import bootstrap_committee, left_out
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
    seen,
)

SCIN = Path("../shared/data/scin/scin_labels.csv")


@pytest.mark.parametrize(
    ("ties", "expected"), [("block", {"a": 0.4, "b": 0.4, "c": 0.2}), ("mean", {"a": 9 / 22, "b": 9 / 22, "c": 4 / 22})]
)
def test_irn_of_one_reader_by_hand(ties, expected):
    assert irn([[["a", "b"], ["c"]]], ties) == pytest.approx(expected)


def test_irn_of_several_readers():
    """a: 1 + 1/2, b: 1/2 + 1, c: 1/3 of 3 1/3 together."""
    found = irn([[["a"], ["b"], ["c"]], [["b"], ["a"]]])
    assert found == pytest.approx({"a": 1.5 / (10 / 3), "b": 1.5 / (10 / 3), "c": (1 / 3) / (10 / 3)})
    assert irn([]) == irn([[]]) == {}
    with pytest.raises(ValueError, match="twice"):
        irn([[["a"], ["a"]]])


def test_committees_cut_a_pooled_list():
    assert by_confidence(["a", "b", "c"], [1, 3, 3]) == [["b", "c"], ["a"]]
    assert committees(["a", "b", "a"], [1, 2, 3], 1) == []
    assert committees(["a", "b", "a"], [1, 2, 3], 2) == [[[["a"]], [["a"], ["b"]]], [[["b"], ["a"]], [["a"]]]]


@pytest.mark.real_data
@pytest.mark.skipif(not SCIN.is_file(), reason="no ../shared/data/scin")
def test_irn_reproduces_every_weighted_label_of_scin():
    """3,061 labels, to the two decimals printed, once equal confidence shares the places it takes.

    The paper's code counts tied labels as one place: it misses the 899 labels in which a tie comes before another
    label. 1,972 of 5,033 cases have no label. The file does not say where a reader ends, so every cut is tried.
    """
    counts = Counter()
    with open(SCIN, encoding="utf-8", newline="") as handle:
        for case in csv.DictReader(handle):
            published = ast.literal_eval(case["weighted_skin_condition_label"] or "{}")
            if not published:
                counts["no label"] += 1
                continue
            names = ast.literal_eval(case["dermatologist_skin_condition_on_label_name"])
            sure = ast.literal_eval(case["dermatologist_skin_condition_confidence"])
            cuts = [cut for readers in (1, 2, 3) for cut in committees(names, sure, readers)]
            for ties in ("mean", "block"):
                if min(largest_difference(irn(cut, ties), published) for cut in cuts) <= 0.005 + 1e-9:
                    counts[ties] += 1
    assert counts == {"mean": 3061, "block": 2162, "no label": 1972}


def test_prirn_has_the_mean_and_spread_of_its_dirichlet():
    weights = np.array([0.7, 0.3, 0.0])
    drawn = prirn(weights, 10, 20_000, seed=0)
    assert drawn.sum(axis=-1) == pytest.approx(1) and (drawn[:, 2] == 0).all()
    total = 10 + 2 * 0.01
    mean = (10 * 0.7 + 0.01) / total
    assert drawn[:, 0].mean() == pytest.approx(mean, abs=0.005)
    assert drawn[:, 0].var() == pytest.approx(mean * (1 - mean) / (total + 1), rel=0.05)
    assert (prirn(np.array([[0.0, 0.0]]), 5, 3, seed=0) == 0).all()


def test_certainty_grows_with_reliability():
    found = [certainty(prirn(np.array([0.6, 0.4]), t, 4000, seed=0))[0] for t in (1, 10, 50)]
    assert found == sorted(found) and found[0] == pytest.approx(0.6, abs=0.03) and found[2] > 0.9


@pytest.mark.parametrize("readers", [1, 3])
def test_plackett_luce_posterior_of_two_labels_is_a_beta(readers):
    """All readers rank a over b: with Gamma(1, 1) priors a's share is Beta(1 + readers, 1)."""
    share = plackett_luce([[[0], [1]]] * readers, 2, samples=6000, seed=1)[:, 0]
    assert share.mean() == pytest.approx((1 + readers) / (2 + readers), abs=0.02)


def test_plackett_luce_ties_and_unranked_labels():
    tied = plackett_luce([[[0, 1]]], 3, samples=4000, seed=2).mean(axis=0)
    assert tied[0] == pytest.approx(tied[1], abs=0.02) and tied[2] < tied[0]
    surer = plackett_luce([[[0]]], 3, samples=2000, seed=2, repeats=5).mean(axis=0)
    assert surer[0] > plackett_luce([[[0]]], 3, samples=2000, seed=2).mean(axis=0)[0]
    repeated = plackett_luce([[[0]], [[1], [0]]], 3, samples=4000, seed=2, repeats=3).mean(axis=0)
    assert repeated == pytest.approx(
        plackett_luce([[[0]], [[1], [0]]] * 3, 3, samples=4000, seed=3).mean(axis=0), abs=0.02
    )
    with pytest.raises(ValueError, match="tied"):
        plackett_luce([[list(range(8))]], 8, samples=1, seed=0)


def met(*rows):
    return Met.of(seen(list(rows)).columns, ARRAYS)


def test_coverage_is_the_weight_of_what_is_listed():
    rows = [
        row(0, NEVUS, NEVUS) | {"differential": [[NEVUS, 0.7], [BCC, 0.3]]},
        row(1, NEVUS, BLUE) | {"differential": [["neoplasm/benign", 0.8], [MELANOMA, 0.2]]},  # below a label
        row(2, NEVUS, None) | {"differential": [[NEVUS, 0.7], [BCC, 0.3]]},
        row(3, NEVUS, NEVUS),
    ]
    found = met(*rows).coverage(1)
    assert found[:3] == pytest.approx([0.7, 0.8, 0.0]) and np.isnan(found[3])


def test_a_label_named_twice_is_covered_once():
    nodes = [["neoplasm/benign", 0.8], [MELANOMA, 0.2]]
    (labels,) = met(row(0, NEVUS, NEVUS) | {"differential": nodes}).label
    assert labels.tolist() == [0, -2, -2, -2, -2, -2]


def test_adjusted_accuracy_is_between_chance_and_the_sure_label():
    cases = met(row(0, NEVUS, NEVUS) | {"differential": [[NEVUS, 0.6], [ECZEMA, 0.4]]})
    unsure, sure = (cases.adjusted(t, (1, 3), seed=0, samples=2000) for t in (1, 50))
    assert unsure["top1"][0] == pytest.approx(0.6, abs=0.04) and sure["top1"][0] > 0.9
    assert sure["top1"][0] == sure["certainty"][0]
    # said a, readers a b or b a: overlaps with L = 6, by hand
    ranks = 1 / np.arange(1, 7)
    own, full = ranks.sum() / 6, (1 + 5 * 0) / 6 + sum(2 / k for k in range(2, 7)) / 6
    first, second = ranks.sum() / 6, ranks[1:].sum() / 6
    p = sure["top1"][0]
    assert sure["average_overlap"][0] == pytest.approx((p * first + (1 - p) * second) / np.sqrt(own * full))


def ranked(*rows):
    return Ranked(seen(list(rows)).columns, ARRAYS)


def test_readers_who_rank_alike_are_sampled_once():
    assert pattern([[["b"], ["a"]], [["a", "b"]]]) == (((0,), (1,)), ((0, 1),))
    assert pattern([[["x"], ["y"]], [["y", "x"]]]) == pattern([[["b"], ["a"]], [["b", "a"]]])
    same = [[[NEVUS], [BCC]], [[NEVUS]]], [[[ECZEMA], [MELANOMA]], [[ECZEMA]]]
    found = ranked(
        *(row(i, NEVUS, said) | {"readers": of} for i, (said, of) in enumerate(zip((NEVUS, ECZEMA), same, strict=True)))
    )
    for values in found.adjusted(1, (1, 3), seed=0).values():
        assert values[0] == values[1]


def test_plackett_luce_scores_against_the_closed_form():
    """Three readers rank a over b: the weight of a is Beta(4, 1), so a leads with probability 1 - 1/16."""
    rows = [row(i, NEVUS, said) | {"readers": [[[NEVUS], [BCC]]] * 3} for i, said in enumerate((NEVUS, BCC, None))]
    found = ranked(*rows).adjusted(1, (1, 2), seed=3)
    assert found["top1"] == pytest.approx([15 / 16, 1 / 16, 0], abs=0.06) and found["top1"][:2].sum() == pytest.approx(
        1
    )
    assert found["certainty"] == pytest.approx([found["top1"][0]] * 3)
    assert ranked(*rows).adjusted(10, (1,), seed=3)["top1"][0] == 1  # Beta(31, 1)


def test_what_plackett_luce_cannot_rank_is_counted():
    leaves = [NEVUS, BLUE, KERATOSIS, MELANOMA, BCC, ECZEMA, INFECTION, "neoplasm/benign"]
    rows = [
        row(0, NEVUS, NEVUS) | {"readers": [[leaves]]},
        row(1, NEVUS, NEVUS) | {"readers": [[]]},
        row(2, NEVUS, NEVUS) | {"readers": [[[NEVUS]]]},
        row(3, NEVUS, NEVUS),
    ]
    found = ranked(*rows)
    assert found.cases.tolist() == [2] and found.left_out == 2
    uncertain = score(seen(rows[:1]).columns, TREE, resamples=5)["uncertain"]
    assert uncertain["plackett_luce"] == {"cases": 0, "left_out": 1, "reliability": []}
    assert uncertain["cases"] == 0 and uncertain["reliability"] == []


def test_reader_checks():
    agree, differ = [[["a"]], [["a"]]], [[["a"]], [["b"]]]
    assert left_out(agree) == [(pytest.approx(1), 1)] * 2
    assert left_out(differ) == [(0, 0)] * 2 and left_out(agree[:1]) == []
    drawn = bootstrap_committee(differ, np.random.default_rng(0))
    assert len(drawn) == 2 and all(reader in differ for reader in drawn)


def test_scores_have_uncertain_truth_only_where_readers_disagreed():
    truths = [NEVUS, BCC, ECZEMA, KERATOSIS] * 3
    found = score(seen([full_row(i, t, t) for i, t in enumerate(truths)]).columns, TREE, resamples=5)["uncertain"]
    assert found["cases"] == 12 and [r["readers"] for r in found["reliability"]] == [1, 3, 5, 10, 20, 30, 50]
    assert found["reader_agreement"]["readers"] == 24
    ranked_truth = found["plackett_luce"]
    assert ranked_truth["cases"] == 12 and [r["repeats"] for r in ranked_truth["reliability"]] == [1, 3, 10]
    tops = [r["top1"]["value"] for r in ranked_truth["reliability"]]
    assert tops == sorted(tops) and set(ranked_truth["reliability"][0]) == {"repeats"} | set(
        found["reliability"][0]
    ) - {"readers"}
    unranked = score(seen([full_row(0, NEVUS, NEVUS, readers=[])]).columns, TREE, resamples=5)["uncertain"]
    assert unranked["plackett_luce"] is None and unranked["cases"] == 1
    assert score(seen([row(0, NEVUS, NEVUS)]).columns, TREE, resamples=5)["uncertain"] is None
