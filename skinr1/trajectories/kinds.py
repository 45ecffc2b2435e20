"""The kinds of trajectory: pure functions of a case beside the textbook.

- ``direct``: findings of this case, the rule they meet, the diagnosis.
- ``kept``: a rival that shares a sign is considered and rejected, on a sign of this case that speaks against it or on
  an expected sign of the rival that is annotated absent.
- ``switched``: the first impression is a rival, for a sign of this case; it is revised for another sign of *this* case.
- ``descent``: down the tree, coarse to fine; each level that another branch contests is decided by a sign of the case.
- ``compared``: two or three rivals, each with what it shares and what is against it, then all in order.
- ``checklist``: dermoscopy; the signs give the points of the 7-point checklist, then the rule and the diagnosis.
- ``description``: the signs, group by group, and no diagnosis: what the first reinforcement stage is about.
- ``refusal``: the image cannot be assessed; a new one is asked for.

Sentences are short and regular on purpose: a small model must be able to learn them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skinr1.cases import Case
from skinr1.knowledge import Knowledge
from skinr1.report import MAX_FORCED_THINKING, Report
from skinr1.seven_point import CRITERIA
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import steps
from skinr1.trajectories.evidence import Reason, Ungrounded, View
from skinr1.trajectories.model import Step, Trajectory
from skinr1.trajectories.reports import report_of, undiagnosed
from skinr1.trajectories.textbooks import Textbook

COMPARED = (2, 3)  # rivals of a comparison, at least and at most


@dataclass(frozen=True)
class Refusal:
    """A kind that a case does not support, and why."""

    case_id: str
    kind: str
    reason: str


def _close(view: View, kind: str, made: Sequence[Step], report: Report) -> Trajectory:
    """Raises Ungrounded when the reasoning is longer than a server lets a model write."""
    trajectory = Trajectory(kind, view.case.case_id, tuple(made), report)
    if len(trajectory.text) > MAX_FORCED_THINKING:
        raise Ungrounded(f"reasoning is longer than {MAX_FORCED_THINKING} characters")
    return trajectory


def _concluded(view: View, kind: str, made: Sequence[Step], rivals: Sequence[Textbook] = ()) -> Trajectory:
    report = report_of(view, steps.citations(made), rivals)
    return _close(view, kind, [*made, steps.conclusion(view)], report)


def direct(view: View) -> Trajectory:
    """Findings, textbook, diagnosis."""
    return _concluded(view, "direct", [*steps.seen(view), steps.textbook(view)])


def kept(view: View) -> Trajectory:
    """A rival considered and rejected on a stated sign. Raises Ungrounded when no rival allows it."""
    for rival, reason in _refuted(view):
        made = [*steps.seen(view), steps.textbook(view), steps.considered(view, rival, reason)]
        return _concluded(view, "kept", made, [rival])
    raise Ungrounded(_no_rival(view, "and differs in an annotated sign"))


def _refuted(view: View) -> list[tuple[Textbook, Reason]]:
    """Rivals that share a sign of the case and have something against them, with the best of it."""
    shared = [(rival, _best(view, rival)) for rival in view.rivals if view.shared(rival)]
    return [(rival, reason) for rival, reason in shared if reason]


def _best(view: View, rival: Textbook) -> Reason | None:
    return next(iter([*view.favours(rival), *view.lacks(rival)]), None)


def switched(view: View) -> Trajectory:
    """A first impression revised for a sign of this very case. Raises Ungrounded when no rival allows it."""
    for rival in view.rivals:
        suggestive = view.shared(rival) or tuple(name for name in view.findings.present if name in rival.shown)
        reasons = view.favours(rival)
        if suggestive and reasons:
            passage = rival.passage_for(suggestive[0])
            sign, ground, claims = reasons[0]
            text = f"First impression: {view.name(rival.node)} [{passage}], for {suggestive[0]}."
            first = Step(text, "comparison", passage, True, rival.node, steps.suggests(rival, suggestive[0], passage))
            revised = Step(f"Revised [{ground}], for {sign}.", "comparison", ground, True, None, claims)
            made = [*steps.seen(view), first, revised, steps.textbook(view)]
            return _concluded(view, "switched", made, [rival])
    raise Ungrounded(_no_rival(view, "and is refuted by a sign of this case"))


def _no_rival(view: View, what: str) -> str:
    if not view.rivals:
        return "diagnosis has no rival in the differential graph"
    return f"no rival shares a sign of this case {what}"


def descent(view: View) -> Trajectory:
    """Level after level against the best fitting diagnosis of the other branches.

    Raises Ungrounded when no level is contested, or a sign to decide one is lacking.
    """
    if not view.contested:
        raise Ungrounded("no other branch of the tree shares a sign of this case")
    made = steps.seen(view)
    for level, rival in view.contested.items():
        reason = _best(view, rival)
        if reason is None:
            raise Ungrounded("a level of the tree is not decided by a sign of this case")
        made.append(steps.considered(view, rival, reason, level))
    return _concluded(view, "descent", [*made, steps.textbook(view)])


def compared(view: View) -> Trajectory:
    """Several rivals side by side. Raises Ungrounded when fewer than two can be told apart from the truth."""
    found = _refuted(view)[: COMPARED[1]]
    if len(found) < COMPARED[0]:
        raise Ungrounded(_no_rival(view, "twice over and differs in an annotated sign"))
    made = [*steps.seen(view), steps.textbook(view), *(steps.considered(view, *pair) for pair in found)]
    report = report_of(view, steps.citations(made), [rival for rival, _ in found])
    return _close(view, "compared", [*made, steps.ranking(view, report), steps.conclusion(view)], report)


def checklist(view: View) -> Trajectory:
    """Dermoscopic signs, their points, the rule. Raises Ungrounded for other images and for an undecided checklist."""
    view.require_assessable()
    points = steps.checklist_of(view.findings)
    if view.case.modality == "clinical" or len(points.unrecorded) == len(CRITERIA):
        raise Ungrounded("no dermoscopic sign of the 7-point checklist is annotated")
    if points.suspicious is None:
        raise Ungrounded("7-point checklist is under its threshold and not fully annotated")
    return _concluded(view, "checklist", [*steps.seen(view), steps.checklist(points), steps.textbook(view)])


def description(view: View) -> Trajectory:
    """Signs only. Raises Ungrounded when none is visible or the image cannot be assessed."""
    view.require_assessable()
    if not view.findings.seen:
        raise Ungrounded("no sign is annotated as visible")
    return _close(view, "description", steps.described(view), undiagnosed(view))


def refusal(view: View) -> Trajectory:
    """No diagnosis, and why. Raises Ungrounded when nothing is annotated against the image."""
    if not view.findings.quality:
        raise Ungrounded("image can be assessed")
    return _close(view, "refusal", [steps.finding("Seen", view.findings.quality), steps.declined()], undiagnosed(view))


KINDS: dict[str, Callable[[View], Trajectory]] = {
    "direct": direct,
    "kept": kept,
    "switched": switched,
    "descent": descent,
    "compared": compared,
    "checklist": checklist,
    "description": description,
    "refusal": refusal,
}
DEFAULT_KINDS = ("direct", "kept", "switched")
UNDIAGNOSED = ("description", "refusal")  # they need no label


def trajectories(
    case: Case, knowledge: Knowledge, taxonomy: Taxonomy, kinds: Sequence[str] = DEFAULT_KINDS
) -> tuple[list[Trajectory], list[Refusal]]:
    """Every trajectory of the wanted kinds that the case supports, and a refusal for each it does not."""
    view = View(case, knowledge, taxonomy)
    made, refused = [], []
    for kind in kinds:
        try:
            made.append(KINDS[kind](view))
        except Ungrounded as error:
            refused.append(Refusal(case.case_id, kind, str(error)))
    return made, refused
