"""Groups, their gaps, and tests between runs."""

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from skinr1.metrics.columns import age_band
from skinr1.metrics.comparison import cases_needed, holm, mcnemar, permutation
from skinr1.metrics.fairness import attributes, fairness
from skinr1.metrics.scores import score
from skinr1.metrics.statistics import wilson_interval
from tests.skinr1.outcome_rows import BCC, BLUE, ECZEMA, MELANOMA, NEVUS, TREE, row, seen


def grouped(**groups):
    """Group of sex -> (truth, said) pairs."""
    pairs = [(sex, pair) for sex, of in groups.items() for pair in of]
    return seen([row(i, *pair) | {"sex": None if sex == "nobody" else sex} for i, (sex, pair) in enumerate(pairs)])


def by_sex(found, **options):
    return fairness(found, "sex", attributes(found)["sex"], resamples=200, **options)


def test_groups_worst_and_gap_by_hand():
    found = by_sex(
        grouped(
            female=[(NEVUS, NEVUS)] * 15 + [(NEVUS, BLUE)] * 5,
            male=[(NEVUS, NEVUS)] * 12 + [(NEVUS, None)] * 12,
            nobody=[(NEVUS, BLUE)] * 30,
        )
    )
    assert [g["group"] for g in found["groups"]] == ["female", "male", "unknown"]
    assert [g["metrics"]["top1"]["value"] for g in found["groups"]] == [0.75, 0.5, 0]
    assert found["worst"]["top1"] == {"group": "male", "value": 0.5}  # unknown is never the worst
    gap = found["gaps"]["top1"]
    assert gap["value"] == 0.25 and gap["low"] < 0.25 < gap["high"] and gap["n"] == 44
    assert found["groups"][0]["wilson"] == pytest.approx(wilson_interval(15, 20), abs=1e-6)


def test_one_group_is_not_computable_and_not_fair():
    """DermoBench gives a fairness of 1.0 here."""
    found = by_sex(grouped(female=[(NEVUS, NEVUS)] * 30, nobody=[(NEVUS, BLUE)] * 30))
    assert set(found["gaps"].values()) == set(found["worst"].values()) == {None}
    assert found["standardised"] is None and found["equalised_odds"] == {"tpr": None, "fpr": None}
    assert "not computable" in found["notes"][0]


def test_small_groups_are_shown_and_do_not_count():
    found = by_sex(grouped(female=[(NEVUS, NEVUS)] * 30, male=[(NEVUS, BLUE)] * 19))
    assert found["groups"][1]["small"] and found["gaps"]["top1"] is None and "male" in found["notes"][1]
    assert by_sex(grouped(female=[(NEVUS, NEVUS)] * 30, male=[(NEVUS, BLUE)] * 19), minimum=19)["gaps"]["top1"]


ODDS = {
    "female": [(BCC, BCC)] * 10 + [(NEVUS, NEVUS)] * 10,
    "male": [(BCC, BCC)] * 6 + [(BCC, NEVUS)] * 4 + [(NEVUS, NEVUS)] * 7 + [(NEVUS, BCC)] * 3,
}


def test_equalised_odds_by_hand():
    found = by_sex(grouped(**{sex: pairs * 2 for sex, pairs in ODDS.items()}))
    assert found["equalised_odds"]["tpr"]["value"] == pytest.approx(0.4)
    assert found["equalised_odds"]["fpr"]["value"] == pytest.approx(0.3)


def test_a_group_counts_for_a_metric_with_enough_cases_of_that_metric():
    """Twenty cases a group, but ten malignant ones."""
    found = by_sex(grouped(**ODDS))
    assert found["gaps"]["top1"] and found["equalised_odds"] == {"tpr": None, "fpr": None}
    assert found["worst"]["malignancy_sensitivity"] is None and "malignancy sensitivity" in found["notes"][0]


def test_a_gap_has_no_interval_that_leaves_it_out_and_none_has_no_worst_group():
    found = by_sex(grouped(**{sex: [(NEVUS, NEVUS), (NEVUS, BLUE)] * 10 for sex in ("a", "b", "c", "d", "e", "f")}))
    assert found["gaps"]["top1"]["value"] == 0 and found["gaps"]["top1"]["low"] is None
    assert found["worst"]["top1"] is None


def test_case_mix_explains_a_gap_that_is_none():
    """Equally good at every disease, but one group has more of the hard one."""
    easy, hard = [(NEVUS, NEVUS)], [(BCC, BCC), (BCC, NEVUS)]
    found = by_sex(grouped(female=easy * 40 + hard * 5, male=easy * 10 + hard * 20))
    assert found["gaps"]["top1"]["value"] > 0.2
    assert found["standardised"]["gap"] == 0 and found["standardised"]["diagnoses"] == 2
    share = 50 / 100
    assert found["standardised"]["groups"]["male"] == pytest.approx(share + (1 - share) / 2)


def test_scales_and_provenances_of_tone_are_never_mixed():
    tones = [("fitzpatrick 2", "clinician"), ("fitzpatrick 2", "self_report"), ("monk 2", "annotator"), (None, None)]
    rows = [row(i, NEVUS, NEVUS, tone=tone) | {"tone_provenance": by} for i, (tone, by) in enumerate(tones * 5)]
    found = attributes(seen(rows))
    kinds = [name for name in found if name.startswith("skin tone")]
    assert kinds == [
        f"skin tone ({k})" for k in ("fitzpatrick, clinician", "fitzpatrick, self_report", "monk, annotator")
    ]
    assert all(np.bincount(found[kind].codes).tolist() == [5, 15] for kind in kinds)


@pytest.mark.parametrize(("age", "band"), [(None, "unknown"), (0, "00-19"), (20, "20-39"), (79, "60-79"), (95, "80+")])
def test_age_bands(age, band):
    assert age_band(age) == band


def test_mcnemar_is_the_exact_test():
    ours, theirs = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert mcnemar(ours, theirs) == (5, 1, pytest.approx(binomtest(5, 6).pvalue))
    assert mcnemar(ours, ours) == (0, 0, 1.0)


def test_permutation_agrees_with_scipy():
    draw = np.random.default_rng(0)
    ours, theirs = draw.random(9) + 0.4, draw.random(9)
    found = permutation(ours, theirs, np.arange(9), permutations=20_000)
    exact = permutation_test((ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples")
    assert found == (pytest.approx(exact.statistic), pytest.approx(exact.pvalue, abs=0.01))


def test_permutation_flips_whole_patients():
    ours, theirs, patients = np.ones(40), np.zeros(40), np.repeat(np.arange(2), 20)
    assert permutation(ours, theirs, np.arange(40))[1] < 0.001
    assert permutation(ours, theirs, patients)[1] == pytest.approx(0.5, abs=0.03)


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06 and not less than the one before, 0.5."""
    found = holm({"d": 0.5, "a": 0.01, "c": 0.03, "b": 0.02})
    assert found == pytest.approx({"d": 0.5, "a": 0.04, "c": 0.06, "b": 0.06})


def test_cases_needed_by_hand():
    """Connor: (1.96 sqrt(0.2) + 0.8416 sqrt(0.2 - 0.01))^2 / 0.01."""
    assert cases_needed(0.1, 0.2) == 155
    with pytest.raises(ValueError, match="discordant"):
        cases_needed(0.3, 0.2)


def test_paired_tests_are_in_the_scores():
    rows = [row(i, NEVUS, NEVUS) for i in range(20)] + [row(20, MELANOMA, ECZEMA)]
    worse = [row(i, NEVUS, BLUE if i < 12 else NEVUS) for i in range(20)] + [row(20, MELANOMA, ECZEMA)]
    tests = score(seen(rows).columns, TREE, ("worse", seen(worse).columns), resamples=20)["paired"]["tests"]
    assert tests["mcnemar"] == {"only_run": 12, "only_baseline": 0, "p": pytest.approx(2**-11, abs=1e-6)}
    assert tests["permutation"]["top1"]["difference"] == pytest.approx(12 / 21, abs=1e-6)
    assert tests["holm"]["mcnemar"] >= tests["mcnemar"]["p"]
