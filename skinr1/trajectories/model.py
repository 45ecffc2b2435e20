"""What a trajectory is: steps of text, each with the claims it makes and where they come from."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from skinr1.report import Answer, Report

StepKind = Literal["finding", "knowledge", "comparison", "conclusion", "level", "ranking", "checklist"]
SentenceType = Literal["observation", "knowledge", "inference"]
Wording = Literal["template", "rewritten", "rewrite refused"]


def type_of(kind: StepKind) -> SentenceType:
    """The type of a step's sentences: a finding observes, a knowledge step reports the book, all others combine."""
    if kind == "finding":
        return "observation"
    return "knowledge" if kind == "knowledge" else "inference"


@dataclass(frozen=True)
class Claim:
    """One checkable statement of a step.

    ``says`` is one of: ``present`` / ``absent`` (the case is annotated so), ``rule`` (``passage`` has a rule that
    ``diagnosis`` shows ``concept``), ``no_rule`` (no rule says that ``diagnosis`` shows it), ``edge`` (``passage``
    says that it speaks for ``diagnosis`` against ``rival``).
    """

    says: Literal["present", "absent", "rule", "no_rule", "edge"]
    concept: str
    diagnosis: str | None = None
    rival: str | None = None
    passage: str | None = None


@dataclass(frozen=True)
class Step:
    """One sentence of reasoning.

    Attributes:
        source: ``annotation``, ``label``, ``seven_point``, ``description`` (a model's, written without the label) or
            the id of the passage it rests on.
        saw_answer: whether choosing or writing it used the label.
        about: node id of the diagnosis it names, if any.
        wording: who worded it; a refused rewrite has the template's words and says so.
    """

    text: str
    kind: StepKind
    source: str
    saw_answer: bool
    about: str | None = None
    claims: tuple[Claim, ...] = ()
    wording: Wording = "template"

    def provenance(self) -> dict[str, Any]:
        """The step as plain data, without empty claim fields."""
        claims = [{key: value for key, value in vars(claim).items() if value is not None} for claim in self.claims]
        return {**vars(self), "claims": claims}


@dataclass(frozen=True)
class Trajectory:
    """Reasoning about one case and the report it ends in; ``text`` is the reasoning, its steps joined by a space."""

    kind: str
    case_id: str
    steps: tuple[Step, ...]
    report: Report

    @property
    def text(self) -> str:
        return " ".join(step.text for step in self.steps)

    @property
    def answer(self) -> Answer:
        return Answer(self.text, self.report)

    def with_step(self, index: int, step: Step) -> "Trajectory":
        """The same trajectory with one step replaced."""
        return replace(self, steps=(*self.steps[:index], step, *self.steps[index + 1 :]))
