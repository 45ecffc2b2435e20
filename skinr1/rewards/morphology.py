"""The findings against the annotation. Without annotation these scores are 0 for everybody and so teach nothing."""

from skinr1.concepts import concept
from skinr1.report import Answer
from skinr1.rewards.hierarchy import lca_depth
from skinr1.rewards.truth import Truth
from skinr1.taxonomy import Taxonomy

RIGHT_BRANCH = 0.5  # share of the true path that must be right before findings are paid


def findings_f1(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """F1 of the reported signs against the annotated ones; a sign listed twice makes the list worthless."""
    if answer is None or not truth.findings:
        return 0.0
    said, true = answer.report.findings, set(truth.findings)
    if len(set(said)) != len(said):
        return 0.0
    return 2 * len(true & set(said)) / (len(true) + len(said))


def gated_findings(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """:func:`findings_f1` where the conclusion is on the right branch, else 0: right signs do not excuse it."""
    right = lca_depth(answer, truth, taxonomy) >= RIGHT_BRANCH
    return findings_f1(answer, truth, taxonomy) if right else 0.0


def description_fields(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """Agreement field by field (form, colour, border, surface …): mean Jaccard over the fields that either side names.

    For a first stage that learns to describe, whatever the diagnosis.
    """
    if answer is None or not truth.findings or len(set(answer.report.findings)) != len(answer.report.findings):
        return 0.0
    said, true = _fields(answer.report.findings), _fields(truth.findings)
    fields = sorted(said.keys() | true.keys())
    none: frozenset[str] = frozenset()
    shares = [len(said.get(f, none) & true.get(f, none)) / len(said.get(f, none) | true.get(f, none)) for f in fields]
    return sum(shares) / len(shares)


def _fields(names: tuple[str, ...]) -> dict[str, frozenset[str]]:
    groups = {concept(name).group for name in names}
    return {group: frozenset(name for name in names if concept(name).group == group) for group in groups}
