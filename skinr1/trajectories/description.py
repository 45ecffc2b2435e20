"""The answer-blind description: what a model that never sees the label says is on the image.

The request is made of the pixels, the vocabulary of signs and the modality. File names, metadata and the rest of the
case stay here. What comes back must be plain observation in that vocabulary:

- a sentence that no image can show is removed and listed, since the others stand without it;
- a named disease, a contradiction or a word that claims something unknown rejects the whole, since the rest was
  written with it in mind;
- where annotators have recorded what is visible, nothing else may be said; where nobody has, the description is the
  only source of findings, and is marked as such.

Where a description is rejected and the case is annotated, the template words the annotations instead.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from skinr1.cases import Case, Finding
from skinr1.concepts import concept, concepts
from skinr1.knowledge import Knowledge
from skinr1.llm import Client, Refused, answers, request_key
from skinr1.prompts import blind_messages
from skinr1.report import InvalidAnswer
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.evidence import View
from skinr1.trajectories.findings import HISTORY, QUALITY, Findings
from skinr1.trajectories.free_text import check_text
from skinr1.trajectories.model import Claim, Step
from skinr1.trajectories.reading import Sentence, diagnoses_named, sentences
from skinr1.trajectories.steps import described
from skinr1.trajectories.visible import without_unseeable

LONGEST = 600
SOURCE = "description"
_DERMOSCOPIC = "structure"  # signs that no camera without a dermoscope shows


class Unfit(Exception):
    """Words that are not used; the message is a short reason, a colon, and what it is about."""


@dataclass(frozen=True)
class Description:
    """Sentences about the image, and the case as they tell it: findings are theirs and no others.

    ``steps`` is empty if nothing could be used; ``record`` says who was asked, what was removed, and why words were
    not used.
    """

    steps: tuple[Step, ...]
    said: Case
    record: dict[str, Any]

    @property
    def text(self) -> str:
        return " ".join(step.text for step in self.steps)


@dataclass(frozen=True)
class Describer:
    """Asks for descriptions and decides whether they are used."""

    asker: Asker
    client: Client
    knowledge: Knowledge
    taxonomy: Taxonomy

    async def describe(self, case: Case, images: Sequence[bytes]) -> Description:
        """What the images (PNG bytes) show, in the model's words or, failing that, in the template's."""
        body = self.asker.body(blind_messages(len(images), vocabulary(case), case.modality), images)
        asked = {**self.asker.described(), "request": request_key(body)}
        record = {"step": "description", "saw_answer": False, "asked": asked, "fallback": False, "fault": None}
        removed: list[dict[str, str]] = []
        try:
            text, unseeable = without_unseeable(answers.prose(await self.client.ask(body), LONGEST), self.taxonomy)
            removed += map(asdict, unseeable)
            steps = self._steps(text, case)
        except (InvalidAnswer, Refused, Unfit) as error:
            record |= {"removed": removed, "fault": fault_of(error)}
            return self._template(case, record)
        return Description(steps, retold(case, steps, self.taxonomy), {**record, "removed": removed})

    def _steps(self, text: str, case: Case) -> tuple[Step, ...]:
        """The sentences as steps. Raises Unfit."""
        if not text:
            raise Unfit("nothing visible")
        if named := diagnoses_named(text, self.taxonomy):
            raise Unfit(f"names a diagnosis: {', '.join(named)}")
        steps = tuple(map(_step, sentences(text, self.taxonomy)))
        said = retold(case, steps, self.taxonomy)
        findings = Findings.of(said)
        if findings.quality:
            raise Unfit(f"image cannot be assessed: {', '.join(findings.quality)}")
        if not findings.seen:
            raise Unfit("no sign")
        both = {name for name in said.absent() if name in findings.seen}
        if both:
            raise Unfit(f"contradicts itself: {', '.join(sorted(both))}")
        self._check(steps, case if annotated(case) else said)
        return steps

    def _template(self, case: Case, record: dict[str, Any]) -> Description:
        """Annotated signs in the template's words; complaints left out, for no image shows them."""
        visible = Findings.of(case).seen
        made = described(View(case, self.knowledge, self.taxonomy)) if visible else []
        steps = tuple(replace(step, wording="rewrite refused") for step in made if not _tells(step))
        if not steps:
            return Description((), case, record)
        try:
            self._check(steps, case)
        except Unfit as error:
            return Description((), case, {**record, "template": str(error)})
        return Description(steps, retold(case, steps, self.taxonomy), {**record, "fallback": True})

    def _check(self, steps: Sequence[Step], truth: Case) -> None:
        """Raises Unfit where a sentence does not follow from what is recorded of the case."""
        if faults := check_text(" ".join(step.text for step in steps), truth, self.knowledge, self.taxonomy):
            raise Unfit(f"not grounded: {'; '.join(f'{fault.why}, in {fault.sentence!r}' for fault in faults)}")


def vocabulary(case: Case) -> dict[str, list[str]]:
    """Group -> signs that may be seen on a case's images: all but complaints, and dermoscopic ones by modality."""
    groups: dict[str, list[str]] = {}
    for entry in concepts().values():
        unseen = entry.group in (HISTORY, QUALITY)
        if not unseen and not (entry.group == _DERMOSCOPIC and case.modality == "clinical"):
            groups.setdefault(entry.group, []).append(entry.name)
    return groups


def annotated(case: Case) -> bool:
    """Whether annotators have recorded anything visible, as present or absent."""
    return any(concept(finding.concept).group not in (HISTORY, QUALITY) for finding in case.findings)


def retold(case: Case, steps: Sequence[Step], taxonomy: Taxonomy) -> Case:
    """The case with the findings that the steps state, and the complaints it had: for checking, never to be stored."""
    told = [finding for finding in case.findings if concept(finding.concept).group == HISTORY]
    signs = [
        sign
        for step in steps
        for sentence in sentences(step.text, taxonomy)
        for clause in sentence.clauses
        for sign in clause.signs
        if concept(sign.concept).group != HISTORY
    ]
    found = dict.fromkeys(Finding(concept=sign.concept, present=not sign.denied) for sign in signs)
    return case.model_copy(update={"findings": (*told, *found)})


def fault_of(error: InvalidAnswer | Refused | Unfit) -> str:
    """One line, the short reason first."""
    return f"refused by the endpoint: {error}" if isinstance(error, Refused) else str(error)


def _step(sentence: Sentence) -> Step:
    """Raises Unfit for anything but an observation."""
    if sentence.type != "observation":
        raise Unfit(f"does not only observe: {sentence.text}")
    signs = [sign for clause in sentence.clauses for sign in clause.signs]
    claims = tuple(Claim("absent" if sign.denied else "present", sign.concept) for sign in signs)
    return Step(sentence.text, "finding", SOURCE, saw_answer=False, claims=claims, wording="rewritten")


def _tells(step: Step) -> bool:
    return any(concept(claim.concept).group == HISTORY for claim in step.claims)
