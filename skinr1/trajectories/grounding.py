"""The grounding check: nothing in a trajectory that the case or the textbook does not say.

Two halves. Claims against the world: each claim of a step holds on the case or in the textbook. Text against claims:
a step's words name exactly the signs, diagnoses and passages that it claims, so rewritten words can add nothing.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from skinr1.cases import Case
from skinr1.concepts import concepts, mentioned
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import Findings, Ungrounded, truth_node
from skinr1.trajectories.kinds import CITATION, citations
from skinr1.trajectories.model import Claim, Step, Trajectory

_CLAUSE = re.compile(r"[.,;:]|\b(?:and|but)\b")
_NEGATION = re.compile(r"\b(?:no|not|without|absent|absence|lacks?|lacking|never|nor)\b")
_SOURCES = {"finding": "annotation", "conclusion": "label"}


def check(trajectory: Trajectory, case: Case, knowledge: Knowledge, taxonomy: Taxonomy | None = None) -> list[str]:
    """Faults of a trajectory, one line each; an empty list means that it is grounded in this case and textbook.

    Args:
        taxonomy: the tree that names the diagnoses; the shipped one by default.
    """
    return list(_faults(trajectory, case, knowledge, taxonomy or Taxonomy.load()))


def _faults(trajectory: Trajectory, case: Case, knowledge: Knowledge, taxonomy: Taxonomy) -> Iterator[str]:
    if trajectory.case_id != case.case_id:
        yield f"trajectory of case {trajectory.case_id}, checked against {case.case_id}"
    if "<" in trajectory.text:
        yield "text holds '<'"
    if trajectory.report.citations != citations(trajectory.steps)[: len(trajectory.report.citations)]:
        yield "report cites other passages than the text"
    findings = Findings.of(case)
    for name in trajectory.report.findings:
        if name not in findings.seen:
            yield f"report finds {name}, which is not annotated"
    for number, step in enumerate(trajectory.steps):
        where = f"step {number} ({step.kind})"
        for claim in step.claims:
            if not _holds(claim, findings, knowledge):
                yield f"{where}: not true: {_spell(claim)}"
        yield from (f"{where}: {fault}" for fault in _text_faults(step, knowledge, taxonomy))
        yield from (f"{where}: {fault}" for fault in _form_faults(step))
    yield from _argument_faults(trajectory, case, taxonomy)


def _holds(claim: Claim, findings: Findings, knowledge: Knowledge) -> bool:
    if claim.says == "present":
        return claim.concept in findings.present
    if claim.says == "absent":
        return claim.concept in findings.absent
    if claim.diagnosis is None:
        return False
    if claim.says == "edge":
        edges = knowledge.rivals_of(claim.diagnosis)
        return any(e.rival == claim.rival and claim.concept in e.signs and e.passage == claim.passage for e in edges)
    shown = [r.passage for r in knowledge.rules_of(claim.diagnosis) if r.concept == claim.concept and not r.negated]
    return not shown if claim.says == "no_rule" else claim.passage in shown


def _spell(claim: Claim) -> str:
    parts = (claim.says, claim.concept, claim.diagnosis, claim.rival, claim.passage)
    return " ".join(part for part in parts if part)


def _form_faults(step: Step) -> Iterator[str]:
    """A finding says only what is annotated and rests on the annotation; other steps rest on what they cite."""
    wanted = _SOURCES.get(step.kind)
    if wanted is not None and step.source != wanted:
        yield f"source is {step.source}, not {wanted}"
    if wanted is None and step.source not in CITATION.findall(step.text):
        yield f"does not cite its source {step.source}"
    if step.kind == "finding" and any(claim.says not in ("present", "absent") for claim in step.claims):
        yield "a finding claims textbook knowledge"
    if step.kind in ("finding", "knowledge") and not step.claims:
        yield "claims nothing"
    if step.kind != "finding" and not step.saw_answer:
        yield "was chosen by the label but does not say so"


def _text_faults(step: Step, knowledge: Knowledge, taxonomy: Taxonomy) -> Iterator[str]:
    cited = CITATION.findall(step.text)
    for passage in cited:
        if passage not in knowledge.passages:
            yield f"cites {passage}, which does not exist"
    claimed = {claim.passage for claim in step.claims if claim.passage}
    if set(cited) != claimed:
        yield f"cites {sorted(set(cited))} but rests on {sorted(claimed)}"
    said = _signs(step.text, taxonomy)
    meant = _meant(step)
    if said != meant:
        odd = sorted(f"{'' if present else 'no '}{name}" for name, present in said ^ meant)
        yield f"words and claims differ: {', '.join(odd)}"
    about = set() if step.about is None else {taxonomy.node(step.about).name.lower()}
    if _names(step.text, taxonomy) | about != about:
        yield f"names {', '.join(sorted(_names(step.text, taxonomy) - about))}"
    if not all(name in step.text.lower() for name in about):
        yield f"does not name {', '.join(sorted(about))}"


def _meant(step: Step) -> set[tuple[str, bool]]:
    absent = {claim.concept for claim in step.claims if claim.says == "absent"}
    return {(claim.concept, claim.concept not in absent) for claim in step.claims if claim.says != "no_rule"}


def _signs(text: str, taxonomy: Taxonomy) -> set[tuple[str, bool]]:
    """(sign, said to be present) for every sign in a text; a negation reaches to the end of its clause."""
    plain = _name_pattern(taxonomy).sub(" ", CITATION.sub(" ", text).lower())
    return {(name, _NEGATION.search(clause) is None) for clause in _CLAUSE.split(plain) for name in mentioned(clause)}


def _names(text: str, taxonomy: Taxonomy) -> set[str]:
    return set(_name_pattern(taxonomy).findall(CITATION.sub(" ", text).lower()))


@lru_cache(maxsize=4)
def _name_pattern(taxonomy: Taxonomy) -> re.Pattern[str]:
    """Names of all diagnoses, longest first: ``plaque psoriasis`` must not count as the sign ``plaque``."""
    names = {node.name.lower() for node in taxonomy.nodes.values()} - {name.lower() for name in concepts()}
    return re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names, key=lambda n: (-len(n), n)))) + r")\b")


def _argument_faults(trajectory: Trajectory, case: Case, taxonomy: Taxonomy) -> Iterator[str]:
    """The conclusion is the label's, and a comparison states a sign of this case as its reason."""
    try:
        truth = truth_node(case, taxonomy)
    except Ungrounded as error:
        yield str(error)
        return
    last = trajectory.steps[-1] if trajectory.steps else None
    if last is None or last.kind != "conclusion" or last.about != truth or trajectory.report.diagnosis != truth:
        yield f"does not conclude {truth}"
    says = [claim for step in trajectory.steps if step.kind == "comparison" for claim in step.claims]
    if trajectory.kind in ("kept", "switched") and not any(_is_reason(claim, says, truth) for claim in says):
        yield "a rival is rejected without a reason in this case"
    if trajectory.kind == "switched" and not any(
        claim.says == "present" and _rule_of_rival(claim.concept, says, truth) for claim in says
    ):
        yield "first impression is not suggested by a sign of this case"


def _is_reason(claim: Claim, says: list[Claim], truth: str) -> bool:
    """A sign of the case that is for the truth and not for the rival, or a rival's sign that is absent."""
    others = [other for other in says if other.concept == claim.concept]
    if claim.says == "present":
        for_truth = any(other.says in ("rule", "edge") and other.diagnosis == truth for other in others)
        return for_truth and any(other.says == "no_rule" for other in others)
    return claim.says == "absent" and any(o.says in ("rule", "edge") and o.diagnosis != truth for o in others)


def _rule_of_rival(name: str, says: list[Claim], truth: str) -> bool:
    return any(c.says == "rule" and c.concept == name and c.diagnosis not in (None, truth) for c in says)
