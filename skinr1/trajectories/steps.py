"""The sentences that trajectories are built of: each a pure function of a case beside the textbook."""

import hashlib
import re
from collections.abc import Sequence

from skinr1.concepts import concept, without
from skinr1.report import Report
from skinr1.seven_point import THRESHOLD, Checklist
from skinr1.trajectories.evidence import Reason, View
from skinr1.trajectories.findings import Findings
from skinr1.trajectories.model import Claim, Step, StepKind
from skinr1.trajectories.textbooks import Textbook

TEXTBOOK_SIGNS = 3
SHARED_SIGNS = 2
ABSENT_SIGNS = 4
CITATION = re.compile(r"\[([a-z0-9_.-]+:[a-z0-9_./#-]+)\]")
DECLINED = "No diagnosis: new image needed."
CHECKLIST = "seven_point"


def citations(steps: Sequence[Step]) -> tuple[str, ...]:
    """Passage ids cited in the text, in order of first mention."""
    return tuple(dict.fromkeys(found for step in steps for found in CITATION.findall(step.text)))


def finding(word: str, names: Sequence[str], absent: bool = False) -> Step:
    """Signs that are annotated; annotators did not go by the label, so the step did not see the answer."""
    text = f"{word}: {', '.join(map(without, names) if absent else names)}."
    claims = tuple(Claim("absent" if absent else "present", name) for name in names)
    return Step(text, "finding", "annotation", False, claims=claims)


def seen(view: View) -> list[Step]:
    """What is on the image and what was told."""
    findings = view.findings
    steps = [finding("Seen", findings.seen)] if findings.seen else []
    if not findings.seen and findings.absent:
        steps = [finding("Seen", findings.absent[:1], absent=True)]
    return [*steps, *([finding("Told", findings.told)] if findings.told else [])]


def described(view: View) -> list[Step]:
    """Every sign, one sentence a group, then some of the signs that were looked for in vain.

    Which of them, the hash of case and sign decides: neither the label nor always the same four.
    """
    findings = view.findings
    groups: dict[str, list[str]] = {}
    for name in findings.seen:
        groups.setdefault(concept(name).group, []).append(name)
    steps = [finding(group.capitalize(), names) for group, names in groups.items()]
    drawn = set(sorted(findings.absent, key=lambda name: _draw(view.case.case_id, name))[:ABSENT_SIGNS])
    lacking = [name for name in findings.absent if name in drawn]
    steps += [finding("Looked for", lacking, absent=True)] if lacking else []
    return [*steps, *([finding("Told", findings.told)] if findings.told else [])]


def _draw(case_id: str, name: str) -> bytes:
    return hashlib.sha256(f"{case_id}\t{name}".encode()).digest()


def textbook(view: View) -> Step:
    """The rule of the diagnosis that the case meets, from the one passage that covers most of it."""
    signs = view.distinctive(TEXTBOOK_SIGNS)
    passage = min(view.truth.passages, key=lambda p: (-len(view.truth.passages[p] & set(signs)), p))
    covered = tuple(name for name in signs if name in view.truth.passages[passage])
    truth = view.truth.node
    text = f"Textbook [{passage}]: {view.name(truth)} shows {', '.join(covered)}."
    claims = tuple(Claim("rule", name, truth, passage=passage) for name in covered)
    return Step(text, "knowledge", passage, True, truth, claims)


def considered(view: View, rival: Textbook, reason: Reason, level: str | None = None) -> Step:
    """A rival that shares a sign, and what is against it; at a level of the tree, under the name of that node."""
    sign, ground, claims = reason
    shared = view.shared(rival)
    passage = rival.passage_for(*shared)
    names = tuple(name for name in shared if name in rival.passages[passage])[: SHARED_SIGNS if level is None else 1]
    absent = claims[0].says == "absent"
    cited = "" if ground == passage else f" [{ground}]"
    lead = "Considered" if level is None else f"{_capital(view.name(level))}: considered"
    text = (
        f"{lead} {view.name(rival.node)} [{passage}]: shares {', '.join(names)}; "
        f"against it{cited}: {without(sign) if absent else sign}."
    )
    common = [claim for name in names for claim in suggests(rival, name, passage)]
    kind: StepKind = "comparison" if level is None else "level"
    return Step(text, kind, passage, True, rival.node, (*common, *claims))


def suggests(rival: Textbook, name: str, passage: str) -> tuple[Claim, Claim]:
    """The sign is here, and the passage has it for the rival."""
    return Claim("present", name), Claim("rule", name, rival.node, passage=passage)


def ranking(view: View, report: Report) -> Step:
    """The differential of the report in its order."""
    names = ", ".join(view.name(entry.diagnosis) for entry in report.differential)
    return Step(f"Ranking: {names}.", "ranking", "label", True, view.truth.node)


def checklist_of(findings: Findings) -> Checklist:
    """The classic 7-point checklist of a case's annotations."""
    return Checklist.of(findings.seen, findings.absent)


def checklist_text(made: Checklist) -> str:
    """The only sentence that may state a score: points, their sum, and what the sum means."""
    points = [f"{name} {count}" for name, count in made.scored.items()]
    total = f"sum {'at least ' if made.unrecorded else ''}{made.score}"
    verdict = {True: "suspicious", False: "unsuspicious", None: "open"}[made.suspicious]
    return f"Checklist: {', '.join([*points, total])}, {verdict} (threshold {THRESHOLD[made.version]})."


def checklist(made: Checklist) -> Step:
    """Morphology into points: no label is needed, the rule is :mod:`skinr1.seven_point`'s."""
    claims = tuple(Claim("present", name) for name in made.scored)
    return Step(checklist_text(made), "checklist", CHECKLIST, False, claims=claims)


def conclusion(view: View) -> Step:
    return Step(f"Conclusion: {view.name(view.truth.node)}.", "conclusion", "label", True, view.truth.node)


def declined() -> Step:
    """No diagnosis, because the annotations say that the image cannot be assessed; the label plays no part."""
    return Step(DECLINED, "conclusion", "annotation", False)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
