"""The grounding check: nothing in a trajectory that the case or the textbook does not say.

Three parts. Claims against the world: each claim of a step holds on the case or in the textbook. Text against claims:
a step's words name exactly the signs, diagnoses and passages that it claims. Text against the world:
:mod:`skinr1.trajectories.free_text` reads every sentence as if nothing were known of how it was written.
"""

from collections.abc import Iterator, Sequence

from skinr1.cases import Case
from skinr1.concepts import without
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.evidence import Ungrounded, truth_node
from skinr1.trajectories.findings import Findings
from skinr1.trajectories.free_text import faults
from skinr1.trajectories.kinds import UNDIAGNOSED
from skinr1.trajectories.model import Claim, Step, Trajectory, type_of
from skinr1.trajectories.reading import Sentence, diagnoses_named, sentences
from skinr1.trajectories.steps import CHECKLIST, CITATION, citations
from skinr1.trajectories.textbooks import Shelf, shelf

_SOURCES = {"finding": "annotation", "conclusion": "label", "ranking": "label", "checklist": CHECKLIST}


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
        if name not in findings.seen + findings.quality:
            yield f"report finds {name}, which is not annotated"
    books = shelf(knowledge)
    for number, step in enumerate(trajectory.steps):
        where = f"step {number} ({step.kind})"
        for claim in step.claims:
            if not _holds(claim, findings, books):
                yield f"{where}: not true: {_spell(claim)}"
        read = sentences(step.text, taxonomy)
        yield from (f"{where}: {fault}" for fault in _text_faults(step, read, trajectory, taxonomy))
        yield from (f"{where}: {fault}" for fault in _form_faults(step, trajectory))
    if trajectory.kind in UNDIAGNOSED:
        yield from _undiagnosed_faults(trajectory, findings, taxonomy)
    else:
        yield from _argument_faults(trajectory, case, taxonomy)
    for fault in faults(trajectory.text, case, findings, knowledge, taxonomy):
        yield f"{fault.why}, in {fault.sentence!r}"


def _holds(claim: Claim, findings: Findings, books: Shelf) -> bool:
    if claim.says == "present":
        return claim.concept in findings.present + findings.quality
    if claim.says == "absent":
        return claim.concept in findings.absent
    if claim.diagnosis is None:
        return False
    if claim.says == "edge":
        return (claim.diagnosis, claim.rival, claim.concept) in books.compared.get(claim.passage or "", ())
    if claim.says == "no_rule":
        return claim.concept not in books.book(claim.diagnosis).shown
    return claim.concept in books.book(claim.diagnosis).passages.get(claim.passage or "", ())


def _spell(claim: Claim) -> str:
    parts = (claim.says, claim.concept, claim.diagnosis, claim.rival, claim.passage)
    return " ".join(part for part in parts if part)


def _form_faults(step: Step, trajectory: Trajectory) -> Iterator[str]:
    """A finding says only what is annotated and rests on the annotation; other steps rest on what they cite."""
    blind = step.kind in ("finding", "checklist") or trajectory.kind in UNDIAGNOSED
    wanted = "annotation" if trajectory.kind in UNDIAGNOSED else _SOURCES.get(step.kind)
    if wanted is not None and step.source != wanted:
        yield f"source is {step.source}, not {wanted}"
    if wanted is None and step.source not in CITATION.findall(step.text):
        yield f"does not cite its source {step.source}"
    if step.kind == "finding" and any(claim.says not in ("present", "absent") for claim in step.claims):
        yield "a finding claims textbook knowledge"
    if step.kind in ("finding", "knowledge") and not step.claims:
        yield "claims nothing"
    if not blind and not step.saw_answer:
        yield "was chosen by the label but does not say so"


def _text_faults(step: Step, read: Sequence[Sentence], trajectory: Trajectory, taxonomy: Taxonomy) -> Iterator[str]:
    clauses = [clause for sentence in read for clause in sentence.clauses]
    cited = {passage for clause in clauses for passage in clause.passages}
    claimed = {claim.passage for claim in step.claims if claim.passage}
    if cited != claimed:
        yield f"cites {sorted(cited)} but rests on {sorted(claimed)}"
    said = {(sign.concept, not sign.denied) for clause in clauses for sign in clause.signs}
    meant = _meant(step)
    if said != meant:
        odd = sorted(name if present else without(name) for name, present in said ^ meant)
        yield f"words and claims differ: {', '.join(odd)}"
    named = [name for clause in clauses for name in clause.names]
    wanted = _wanted(step, trajectory)
    allowed = {*wanted, *_levels(step, trajectory, taxonomy)}
    for text, nodes in named:
        if not nodes & allowed:
            yield f"names {text}"
    for node in wanted:
        if not any(node in nodes for _, nodes in named):
            yield f"does not name {taxonomy.node(node).name}"
    for sentence in read:
        if sentence.type != type_of(step.kind):
            yield f"reads as {sentence.type}"


def _wanted(step: Step, trajectory: Trajectory) -> tuple[str, ...]:
    """Nodes that a step must name."""
    if step.kind == "ranking":
        return tuple(entry.diagnosis for entry in trajectory.report.differential)
    return () if step.about is None else (step.about,)


def _levels(step: Step, trajectory: Trajectory, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The node of the diagnosis's path where the rival of a step down the tree takes another branch."""
    truth = trajectory.report.diagnosis
    if step.kind != "level" or step.about is None or truth is None:
        return ()
    return tuple(node for node in taxonomy.path(truth) if node not in taxonomy.path(step.about))[:1]


def _meant(step: Step) -> set[tuple[str, bool]]:
    absent = {claim.concept for claim in step.claims if claim.says == "absent"}
    return {(claim.concept, claim.concept not in absent) for claim in step.claims if claim.says != "no_rule"}


def _undiagnosed_faults(trajectory: Trajectory, findings: Findings, taxonomy: Taxonomy) -> Iterator[str]:
    """No name of a disease anywhere, and a new image wanted exactly where this one cannot be assessed."""
    report = trajectory.report
    yield from (f"names a diagnosis: {node}" for node in report.nodes())
    yield from (f"names a diagnosis: {name}" for name in diagnoses_named(trajectory.text, taxonomy))
    if (trajectory.kind == "refusal") != bool(findings.quality) or (report.advice == "new_image") != bool(
        findings.quality
    ):
        yield "declines without a reason in the image, or describes what cannot be assessed"


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
    argued = [step.claims for step in trajectory.steps if step.kind in ("comparison", "level")]
    says = [claim for claims in argued for claim in claims]
    if trajectory.kind in ("descent", "compared") and not all(
        any(_is_reason(claim, list(claims), truth) for claim in claims) for claims in argued
    ):
        yield "a rival is rejected without a reason in this case"
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
