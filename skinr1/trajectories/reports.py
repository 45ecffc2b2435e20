"""The report a trajectory ends in, by rules that can be read here.

Probabilities. A diagnosis weighs ``exp(score)``, its score being supporting minus contradicting signs
(:meth:`Textbook.score`). The label is known, so a rival's score is held 1 to 4 below the truth's; "none of these"
weighs like a rival 2 below. Weights are normalised and rounded to two decimals, the truth taking what rounding leaves.

Confidence. From the lead of the truth over the next: high from 0.6, moderate from 0.35, else low.

Advice, by the first that holds. An emergency (:mod:`skinr1.urgency`): urgent visit. Malignant: urgent visit, of a slow
carcinoma prompt visit. Indeterminate, infectious or serious: prompt visit. Benign growths: self-care, but a routine
visit when confidence is low or the growth is one to be watched. All others: routine visit. Without a diagnosis: a new
image where the present one cannot be assessed, else none.
"""

import math
from collections.abc import Sequence
from typing import Literal

from skinr1.report import DISCLAIMER, SCHEMA_VERSION, DifferentialEntry, Report
from skinr1.taxonomy import Bucket
from skinr1.trajectories.evidence import View
from skinr1.trajectories.textbooks import Textbook
from skinr1.urgency import EMERGENCIES, SERIOUS, SLOW_CARCINOMAS, WATCHED, listed

ENTRIES, FOR, AGAINST = 3, 3, 2
MAX_SIGNS, MAX_CITATIONS = 8, 6
INFECTIOUS = "infectious"

Confidence = Literal["low", "moderate", "high"]
Advice = Literal["self_care", "routine_visit", "prompt_visit", "urgent_visit"]


def report_of(view: View, citations: tuple[str, ...], considered: Sequence[Textbook] = ()) -> Report:
    """The report on a case; ``considered`` are rivals that the reasoning names and the differential must list."""
    others_first = [rival for rival in view.rivals if rival not in considered]
    listed = {*considered, *others_first[: max(0, ENTRIES - 1 - len(considered))]}
    rivals = [*(rival for rival in view.rivals if rival in listed), *(c for c in considered if c not in view.rivals)]
    top, others = probabilities(view.truth.score(view.findings), [rival.score(view.findings) for rival in rivals])
    ranked = sorted(zip(rivals, others, strict=True), key=lambda pair: -pair[1])
    entries = [_entry(view, view.truth, top), *(_entry(view, rival, share) for rival, share in ranked)]
    confidence = _confidence(top - max(others, default=0.0))
    return Report(
        schema_version=SCHEMA_VERSION,
        findings=view.findings.seen[:MAX_SIGNS],
        diagnosis=view.truth.node,
        condition=view.condition,
        differential=tuple(entries),
        confidence=confidence,
        advice=advice_on(view.truth.node, view.condition, confidence),
        citations=citations[:MAX_CITATIONS],
        disclaimer=DISCLAIMER,
    )


def undiagnosed(view: View) -> Report:
    """The report that describes without a diagnosis, or asks for a new image where this one cannot be assessed."""
    quality = view.findings.quality
    return Report(
        schema_version=SCHEMA_VERSION,
        findings=quality or view.findings.seen[:MAX_SIGNS],
        diagnosis=None,
        condition=None,
        differential=(),
        confidence="low",
        advice="new_image" if quality else "none",
        citations=(),
        disclaimer=DISCLAIMER,
    )


def probabilities(truth: int, rivals: list[int]) -> tuple[float, list[float]]:
    """Probability of the truth and of each rival from their scores; see the module's rule."""
    weights = [math.exp(-min(max(truth - score, 1), 4)) for score in rivals]
    total = 1.0 + sum(weights) + math.exp(-2)
    others = [round(weight / total, 2) for weight in weights]
    nothing = round(math.exp(-2) / total, 2)
    return round(1.0 - sum(others) - nothing, 2), others


def _entry(view: View, book: Textbook, probability: float) -> DifferentialEntry:
    """Evidence against holds signs of the case that do not fit and expected signs that are annotated absent."""
    findings = view.findings
    if book is view.truth:
        supporting = view.distinctive(FOR)
        against = [name for name in findings.present if name in book.denied] + list(book.missing(findings))
    else:
        supporting = tuple(name for name in findings.present if name in book.shown)[:FOR]
        against = [reason.sign for reason in (*view.favours(book), *view.lacks(book))]
    return DifferentialEntry(
        diagnosis=book.node,
        probability=probability,
        evidence_for=supporting,
        evidence_against=tuple(dict.fromkeys(against))[:AGAINST],
    )


def _confidence(lead: float) -> Confidence:
    return "high" if lead >= 0.6 else "moderate" if lead >= 0.35 else "low"


def advice_on(node: str, condition: Bucket, confidence: Confidence) -> Advice:
    """How soon a person with this diagnosis should be seen; see the module's rule."""
    if listed(node, EMERGENCIES):
        return "urgent_visit"
    if condition is Bucket.MALIGNANT:
        return "prompt_visit" if listed(node, SLOW_CARCINOMAS) else "urgent_visit"
    if condition is Bucket.INDETERMINATE or listed(node, (INFECTIOUS, *SERIOUS)):
        return "prompt_visit"
    if condition is Bucket.BENIGN and confidence != "low" and not listed(node, WATCHED):
        return "self_care"
    return "routine_visit"
