"""Whether the stated lesion condition is right, and what a wrong one costs."""

from skinr1.report import Answer
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Bucket, Taxonomy

_B, _I, _M, _N = Bucket.BENIGN, Bucket.INDETERMINATE, Bucket.MALIGNANT, Bucket.NON_NEOPLASTIC

# COST[truth][said], from 0 to 1. Our choice, not published: a malignancy called harmless costs most, a false alarm a
# third of that, and "indeterminate" beside the truth little, since it leads to the same examination.
COST: dict[Bucket, dict[Bucket, float]] = {
    _B: {_B: 0.0, _I: 0.2, _M: 0.35, _N: 0.3},
    _I: {_B: 0.6, _I: 0.0, _M: 0.2, _N: 0.6},
    _M: {_B: 1.0, _I: 0.4, _M: 0.0, _N: 1.0},
    _N: {_B: 0.3, _I: 0.3, _M: 0.35, _N: 0.0},
}


def condition_score(answer: Answer | None, truth: Truth) -> float:
    """1 when the stated lesion condition is the true bucket, else 0 (Skin-R1, R_malignancy without its weight)."""
    return float(answer is not None and truth.condition is not None and answer.report.condition is truth.condition)


def condition_safety(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """1 minus the cost of the stated condition.

    0 for none stated, where the truth has no single bucket, and where the stated one is not that of the diagnosis: a
    nevus called malignant must not be paid for caution.
    """
    if answer is None or answer.report.condition is None or truth.condition is None:
        return 0.0
    said, diagnosis = answer.report.condition, answer.report.diagnosis
    own = taxonomy.bucket(diagnosis) if diagnosis else None
    return 1.0 - COST[truth.condition][said] if own in (None, said) else 0.0
