"""The three kinds of trajectory: pure functions of a case beside the textbook.

- ``direct``: findings of this case, the rule they meet, the diagnosis.
- ``kept``: a rival that shares a sign is considered and rejected, on a sign of this case that speaks against it or on
  an expected sign of the rival that is annotated absent.
- ``switched``: the first impression is a rival, for a sign of this case; it is revised for another sign of *this* case.

Sentences are short and regular on purpose: a small model must be able to learn them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skinr1.cases import Case
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import Reason, Textbook, Ungrounded, View
from skinr1.trajectories.model import Claim, Step, Trajectory
from skinr1.trajectories.reports import report_of

TEXTBOOK_SIGNS = 3
SHARED_SIGNS = 2
CITATION = re.compile(r"\[([a-z0-9_.-]+:[a-z0-9_./#-]+)\]")


@dataclass(frozen=True)
class Refusal:
    """A kind that a case does not support, and why."""

    case_id: str
    kind: str
    reason: str


def citations(steps: Sequence[Step]) -> tuple[str, ...]:
    """Passage ids cited in the text, in order of first mention."""
    return tuple(dict.fromkeys(found for step in steps for found in CITATION.findall(step.text)))


def _seen(view: View) -> list[Step]:
    """What is on the image and what was told; annotators did not go by the label, so neither saw the answer."""
    findings = view.findings
    spoken = [("Seen", findings.seen), ("Told", findings.told)]
    if not findings.seen and findings.absent:
        spoken[0] = ("Seen", findings.absent[:1])
    steps = []
    for word, names in spoken:
        if names:
            absent = names[0] in findings.absent
            text = f"{word}: {'no ' if absent else ''}{', '.join(names)}."
            claims = tuple(Claim("absent" if absent else "present", name) for name in names)
            steps.append(Step(text, "finding", "annotation", False, claims=claims))
    return steps


def _textbook(view: View) -> Step:
    """The rule of the diagnosis that the case meets, from the one passage that covers most of it."""
    signs = view.distinctive(TEXTBOOK_SIGNS)
    passage = min(view.truth.passages, key=lambda p: (-len(view.truth.passages[p] & set(signs)), p))
    covered = tuple(name for name in signs if name in view.truth.passages[passage])
    truth = view.truth.node
    text = f"Textbook [{passage}]: {view.name(truth)} shows {', '.join(covered)}."
    claims = tuple(Claim("rule", name, truth, passage=passage) for name in covered)
    return Step(text, "knowledge", passage, True, truth, claims)


def _conclusion(view: View) -> Step:
    return Step(f"Conclusion: {view.name(view.truth.node)}.", "conclusion", "label", True, view.truth.node)


def _close(view: View, kind: str, steps: list[Step], considered: Textbook | None = None) -> Trajectory:
    return Trajectory(kind, view.case.case_id, tuple(steps), report_of(view, citations(steps), considered))


def direct(view: View) -> Trajectory:
    """Findings, textbook, diagnosis."""
    return _close(view, "direct", [*_seen(view), _textbook(view), _conclusion(view)])


def kept(view: View) -> Trajectory:
    """A rival considered and rejected on a stated sign. Raises Ungrounded when no rival allows it."""
    for rival in view.rivals:
        shared = view.shared(rival)
        reasons = [*view.favours(rival), *view.lacks(rival)]
        if shared and reasons:
            steps = [*_seen(view), _textbook(view), _considered(view, rival, shared, reasons[0]), _conclusion(view)]
            return _close(view, "kept", steps, rival)
    raise Ungrounded(_no_rival(view, "and differs in an annotated sign"))


def _considered(view: View, rival: Textbook, shared: tuple[str, ...], reason: Reason) -> Step:
    sign, ground, claims = reason
    passage = rival.passage_for(*shared)
    names = tuple(name for name in shared if name in rival.passages[passage])[:SHARED_SIGNS]
    absent = claims[0].says == "absent"
    cited = "" if ground == passage else f" [{ground}]"
    text = (
        f"Considered {view.name(rival.node)} [{passage}]: shares {', '.join(names)}; "
        f"against it{cited}: {'no ' if absent else ''}{sign}."
    )
    common = [claim for name in names for claim in _suggests(rival, name, passage)]
    return Step(text, "comparison", passage, True, rival.node, (*common, *claims))


def _suggests(rival: Textbook, name: str, passage: str) -> tuple[Claim, Claim]:
    return Claim("present", name), Claim("rule", name, rival.node, passage=passage)


def switched(view: View) -> Trajectory:
    """A first impression revised for a sign of this very case. Raises Ungrounded when no rival allows it."""
    for rival in view.rivals:
        suggestive = view.shared(rival) or tuple(name for name in view.findings.present if name in rival.shown)
        reasons = view.favours(rival)
        if suggestive and reasons:
            passage = rival.passage_for(suggestive[0])
            sign, ground, claims = reasons[0]
            name = view.name(rival.node)
            first = Step(
                f"First impression: {name} [{passage}], for {suggestive[0]}.",
                "comparison",
                passage,
                True,
                rival.node,
                _suggests(rival, suggestive[0], passage),
            )
            revised = Step(f"Revised [{ground}], for {sign}.", "comparison", ground, True, None, claims)
            return _close(view, "switched", [*_seen(view), first, revised, _textbook(view), _conclusion(view)], rival)
    raise Ungrounded(_no_rival(view, "and is refuted by a sign of this case"))


def _no_rival(view: View, what: str) -> str:
    if not view.rivals:
        return "diagnosis has no rival in the differential graph"
    return f"no rival shares a sign of this case {what}"


KINDS: dict[str, Callable[[View], Trajectory]] = {"direct": direct, "kept": kept, "switched": switched}


def trajectories(
    case: Case, knowledge: Knowledge, taxonomy: Taxonomy, kinds: Sequence[str] = tuple(KINDS)
) -> tuple[list[Trajectory], list[Refusal]]:
    """Every trajectory of the wanted kinds that the case supports, and a refusal for each it does not."""
    try:
        view = View.of(case, knowledge, taxonomy)
    except Ungrounded as error:
        return [], [Refusal(case.case_id, kind, str(error)) for kind in kinds]
    made, refused = [], []
    for kind in kinds:
        try:
            made.append(KINDS[kind](view))
        except Ungrounded as error:
            refused.append(Refusal(case.case_id, kind, str(error)))
    return made, refused
