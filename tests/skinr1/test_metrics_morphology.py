"""Findings against annotations, and the scoring bugs of others that could occur here."""

import json

import pytest

from skinr1.metrics import morphology
from skinr1.metrics.catalogue import catalogue
from skinr1.metrics.estimate import estimates
from skinr1.metrics.scores import score
from tests.skinr1.outcome_rows import ARRAYS, BCC, ECZEMA, MELANOMA, NEVUS, TREE, full_row, row, run, seen


def said(number, findings, **changes):
    made = full_row(number, NEVUS, NEVUS, **changes)
    head, _, body = made["text"].partition("\n")
    return made | {"text": f"{head}\n{json.dumps({**json.loads(body), 'findings': findings})}"}


def numbers(rows):
    return {name: estimate.value for name, estimate in estimates(catalogue(ARRAYS), seen(rows), 5).items()}


def test_sets_by_hand():
    """Annotated: irregular network, papule. Said: one of them and one more; all; none."""
    rows = [said(0, ["papule", "scale"]), said(1, ["papule", "irregular network"]), said(2, [])]
    found = numbers(rows)
    assert found["findings_f1"] == pytest.approx((0.5 + 1 + 0) / 3, abs=1e-6)
    assert found["findings_precision"] == pytest.approx(3 / (2 + 2 + 2), abs=1e-6)  # silence counts as all wrong
    assert found["findings_recall"] == pytest.approx(3 / 6, abs=1e-6)


def test_a_sign_annotated_as_absent_contradicts():
    assert numbers([said(0, ["papule", "irregular streaks"])])["findings_contradicted"] == 0.5


def test_checklist_by_hand():
    """Six criteria absent and said absent; the network said regular where it is irregular."""
    found = numbers([said(0, ["regular network"]), said(1, ["irregular network"])])
    assert found["checklist_field_accuracy"] == pytest.approx((6 + 7) / 14, abs=1e-6)
    assert found["checklist_suspicious_agreement"] == 1  # 2 points or none: neither reaches 3
    found = numbers([said(0, ["irregular network", "blue-white veil"])])
    assert found["checklist_suspicious_agreement"] == 0
    fields = morphology.fields(seen([said(0, ["regular network"])]).columns)
    assert fields["pigment_network"] == {"n": 1, "correct": 0} and fields["streaks"] == {"n": 1, "correct": 1}


# Scoring faults of published evaluation code, by number. 5 (training on no image), 9 (merged names), 10 (DRPO),
# 11 (a reward) and 13 (gold-conditioned rationales) are no matter of scoring.


def test_1_nested_json_is_not_cut_at_its_first_brace():
    (answer,) = [seen([said(0, ["papule"])]).columns]
    assert answer.valid.all() and (answer.probability[:, 0] == 100).all()


@pytest.mark.parametrize("findings", [["Irregular Network"], ["pigment_network"]])
def test_2_unknown_spelling_is_no_agreement(findings):
    """Title Case keys read as two empty fields, hence as seven right ones."""
    found = numbers([said(0, findings)])
    assert found["checklist_field_accuracy"] == found["findings_f1"] == found["valid_report_rate"] == 0
    assert numbers([said(0, []) | {"findings": [], "findings_absent": []}])["checklist_field_accuracy"] is None


@pytest.mark.parametrize("text", ["The answer is B", "B", "Melanoma", f"Not {MELANOMA}, but {NEVUS}"])
def test_3_6_14_prose_earns_nothing(text):
    """First letters, first options mentioned and substrings are no answers; every text is still a case."""
    found = run((NEVUS, NEVUS))
    rows = [row(0, NEVUS, NEVUS), row(1, NEVUS, NEVUS) | {"text": text}]
    assert numbers(rows)["top1"] == 0.5 and len(found.columns) == 1


def test_4_missing_answers_do_not_leave_the_denominator():
    assert numbers([row(0, NEVUS, NEVUS), row(1, NEVUS, None) | {"text": ""}])["top1"] == 0.5


def test_7_one_group_is_not_fair():
    found = score(run(*[(NEVUS, NEVUS)] * 30, tone="fitzpatrick 2").columns, TREE, resamples=5)["fairness"]
    assert all(attribute["gaps"]["top1"] is None for attribute in found)


def test_8_zeros_are_part_of_the_mean():
    found = numbers([row(0, NEVUS, NEVUS), row(1, NEVUS, ECZEMA)])
    assert found["hierarchical_f_by_case"] == found["depth_credit"] == 0.5


def test_8_a_longer_list_does_not_raise_what_the_diagnosis_earns():
    short = full_row(0, NEVUS, BCC)
    head, _, body = short["text"].partition("\n")
    report = json.loads(body)
    report["differential"] += [{**report["differential"][0], "diagnosis": NEVUS, "probability": 0.0}]
    one, two = numbers([short]), numbers([short | {"text": f"{head}\n{json.dumps(report)}"}])
    names = ("top1", "hierarchical_f", "hierarchical_f_by_case", "depth_credit", "tree_distance")
    assert [one[name] for name in names] == [two[name] for name in names] and two["top2"] > one["top2"]


def test_12_a_group_of_the_true_path_is_no_hit_and_names_do_not_carry_buckets():
    found = numbers([row(0, NEVUS, "neoplasm/benign/melanocytic")])
    assert found["top1"] == 0 and found["level_3_accuracy"] == 1
    assert numbers([row(0, NEVUS, MELANOMA)])["hierarchical_f"] == 0.25  # two groups called melanocytic are two
