"""Report x Truth -> number. No input, no output, no state; an invalid answer is ``None`` and scores 0."""

from dataclasses import dataclass

from skinr1.report import Answer
from skinr1.taxonomy import Bucket, Taxonomy


@dataclass(frozen=True)
class Truth:
    """What is known of a case: the nodes its label denotes (any of them is right) and its risk bucket, if one."""

    diagnoses: tuple[str, ...]
    condition: Bucket | None


def format_score(answer: Answer | None) -> float:
    """1 for an answer inside the contract, else 0 (Skin-R1, R_format)."""
    return float(answer is not None)


def path_credit(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """Depth of the predicted node over the length of the true path, if it lies on that path, else 0.

    Skin-R1's R_gran without its weight, with the full path as denominator (the paper's text; the released code
    divides by the deepest option offered). A sibling, a descendant, a wrong branch or no diagnosis earns 0. Among
    several true nodes the best counts.
    """
    predicted = answer.report.diagnosis if answer else None
    if predicted is None:
        return 0.0
    paths = (taxonomy.path(node) for node in truth.diagnoses)
    return max(((path.index(predicted) + 1) / len(path) for path in paths if predicted in path), default=0.0)


def condition_score(answer: Answer | None, truth: Truth) -> float:
    """1 when the stated lesion condition is the true bucket, else 0 (Skin-R1, R_malignancy without its weight)."""
    return float(answer is not None and truth.condition is not None and answer.report.condition is truth.condition)
