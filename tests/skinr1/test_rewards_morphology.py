"""Findings against annotations: sets, checklists, fields, and the gate of the right branch."""

import pytest

from skinr1.report import Answer
from skinr1.rewards import REWARDS, Truth
from skinr1.seven_point import CRITERION_OF
from skinr1.taxonomy import Bucket
from tests.recipes.runs import MELANOMA, NEVUS
from tests.skinr1.test_rewards import CONTEXT, said


def test_morphology_is_paid_only_on_the_right_branch():
    known = Truth((MELANOMA,), Bucket.MALIGNANT, findings=("papule", "brown colour"))
    right, wrong = said(MELANOMA), said(NEVUS)
    assert REWARDS["findings"](right, known, CONTEXT) == REWARDS["findings"](wrong, known, CONTEXT) == 1
    assert REWARDS["gated_findings"](right, known, CONTEXT) == 1
    assert REWARDS["gated_findings"](wrong, known, CONTEXT) == 0


def test_a_coarse_truth_does_not_open_the_gate_for_another_risk():
    known = Truth(("neoplasm/malignant",), Bucket.MALIGNANT, findings=("papule", "brown colour"))
    assert REWARDS["gated_findings"](said(MELANOMA), known, CONTEXT) == 1
    assert REWARDS["gated_findings"](said(NEVUS, Bucket.BENIGN), known, CONTEXT) == 0


def seen(*findings: str) -> Answer:
    good = said(MELANOMA)
    return Answer(good.thinking, good.report.model_copy(update={"findings": findings}))


@pytest.mark.parametrize(
    ("findings", "f1", "fields"),
    [
        (("plaque", "red colour"), 1.0, 1.0),
        (("plaque", "red colour", "milia-like cysts"), 1.0, 1.0),  # this annotation has no word for it
        (("plaque", "red colour", "ulcer"), 0.8, 1.0),  # absent; a field that the annotation leaves empty
        (("plaque", "red colour", "patch"), 0.8, 0.75),
        (("plaque", "plaque"), 0.0, 0.0),
        ((), 0.0, 0.0),
    ],
)
def test_signs_that_an_annotation_cannot_express_are_left_out(findings: tuple[str, ...], f1: float, fields: float):
    known = Truth((MELANOMA,), None, findings=("plaque", "red colour", "itch"), absent=("ulcer", "patch"))
    told = Truth((MELANOMA,), None, findings=("plaque", "red colour"), absent=("ulcer", "patch"))
    assert REWARDS["findings"](seen(*findings), told, CONTEXT) == pytest.approx(f1)
    assert REWARDS["description"](seen(*findings), known, CONTEXT) == pytest.approx(fields)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (("irregular network", "irregular dots"), 1.0),
        (("irregular network",), 0.9),
        (("irregular network", "regular network", "irregular dots"), 0.8),  # two values of a major criterion
        (("irregular dots", "plaque"), 0.8),
        ((), 0.7),  # five criteria are absent, two of them major
    ],
)
def test_a_checklist_is_compared_criterion_by_criterion(findings: tuple[str, ...], expected: float):
    true = ("irregular network", "irregular dots")
    known = Truth((MELANOMA,), None, findings=true, absent=tuple(name for name in CRITERION_OF if name not in true))
    assert REWARDS["findings"](seen(*findings), known, CONTEXT) == pytest.approx(expected)


def test_a_sign_of_the_checklist_among_others_is_no_checklist():
    known = Truth((MELANOMA,), None, findings=("blue-white veil", "papule", "ulcer"))
    assert REWARDS["findings"](seen("papule", "ulcer"), known, CONTEXT) == pytest.approx(0.8)
    assert REWARDS["findings"](seen("blue-white veil", "comedo"), known, CONTEXT) == pytest.approx(0.4)
