"""The findings against the annotation. Without annotation these scores are 0 for everybody and so teach nothing.

Where the annotation says which signs were looked for and absent (SkinCon, Derm7pt), a sign that it cannot express is
left out; where it only lists what is present, every other sign counts as wrong.
"""

from skinr1.concepts import concept
from skinr1.report import Answer
from skinr1.rewards.hierarchy import lca_depth
from skinr1.rewards.truth import Truth
from skinr1.seven_point import CRITERIA, MAJOR
from skinr1.taxonomy import Taxonomy

RIGHT_BRANCH = 0.5  # share of the true path that must be right before findings are paid
UNSEEN = ("history", "quality")  # groups of concepts that describe no lesion


def findings_score(answer: Answer | None, truth: Truth) -> float:
    """Agreement of the reported signs with the annotation; a sign listed twice makes the list worthless.

    F1 of the two sets; where all of the 7-point checklist is annotated, the share of its criteria whose value is right,
    ``absent`` included, the three major ones counting twice (after MAVIC's morphology term). Two values of one
    criterion are wrong.
    """
    said = _said(answer, truth)
    if said is None:
        return 0.0
    true, known = set(truth.findings), {*truth.findings, *truth.absent}
    if all(_concepts(name) <= known for name in CRITERIA):
        weights = {name: 2 if name in MAJOR else 1 for name in CRITERIA}
        right = [name for name in weights if said & _concepts(name) == true & _concepts(name)]
        return sum(weights[name] for name in right) / sum(weights.values())
    return 2 * len(true & said) / (len(true) + len(said)) if true else 0.0


def gated_findings(answer: Answer | None, truth: Truth, taxonomy: Taxonomy) -> float:
    """:func:`findings_score` where the conclusion is on the right branch, else 0: right signs do not excuse it.

    The right branch is half of the true path and, where both have one, the true risk bucket.
    """
    if answer is None or lca_depth(answer, truth, taxonomy) < RIGHT_BRANCH:
        return 0.0
    bucket = taxonomy.bucket(answer.report.diagnosis) if answer.report.diagnosis else None
    same = bucket is None or truth.condition is None or bucket is truth.condition
    return findings_score(answer, truth) if same else 0.0


def description_fields(answer: Answer | None, truth: Truth) -> float:
    """Agreement field by field (form, colour, border, surface …): mean Jaccard over the fields of the annotation.

    For a first stage that learns to describe, whatever the diagnosis. What the patient told is no field, and neither is
    the quality of the image.
    """
    said = _said(answer, truth)
    if said is None:
        return 0.0
    true = {name for name in truth.findings if concept(name).group not in UNSEEN}
    shares = []
    for group in sorted({concept(name).group for name in true}):
        ours, theirs = ({name for name in names if concept(name).group == group} for names in (said, true))
        shares.append(len(ours & theirs) / len(ours | theirs))
    return sum(shares) / len(shares) if shares else 0.0


def _said(answer: Answer | None, truth: Truth) -> set[str] | None:
    """The reported signs that the annotation can judge; None where it judges none or one stands twice."""
    if answer is None or not (truth.findings or truth.absent):
        return None
    said = answer.report.findings
    if len(set(said)) != len(said):
        return None
    return {name for name in said if name in truth.findings or name in truth.absent} if truth.absent else set(said)


def _concepts(criterion: str) -> set[str]:
    return {name for _, name in CRITERIA[criterion].values()}
