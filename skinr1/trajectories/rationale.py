"""The rationale: why the description means the diagnosis, written by a model that is told both.

It may use what the blind description says, what the patient told, and the passages it is given. Its sentences argue
one from another, so none can be taken out: a rationale with one that an image cannot show, or that nothing supports,
is rejected whole, and the template argues instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from skinr1.knowledge import Knowledge
from skinr1.llm import Client, Refused, answers, request_key
from skinr1.prompts import rationale_messages
from skinr1.report import MAX_FORCED_THINKING, InvalidAnswer, Report
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.description import Description, Unfit, fault_of
from skinr1.trajectories.evidence import View
from skinr1.trajectories.findings import in_order
from skinr1.trajectories.free_text import check_text
from skinr1.trajectories.kinds import trajectories
from skinr1.trajectories.model import Step, StepKind
from skinr1.trajectories.reading import Sentence, sentences
from skinr1.trajectories.reports import report_of
from skinr1.trajectories.steps import citations
from skinr1.trajectories.textbooks import Textbook
from skinr1.trajectories.visible import unseeable
from skinr1.trajectories.words import CONCLUDES

PASSAGES = 2  # of the diagnosis; rivals, one passage each
RIVALS = 2
MOST_RIVALS = 4  # a report's differential holds five entries, the diagnosis among them


@dataclass(frozen=True)
class Rationale:
    """Sentences after the description, the report they lead to, and the record; no report, no rationale."""

    steps: tuple[Step, ...]
    report: Report | None
    record: dict[str, Any]


@dataclass(frozen=True)
class Reasoner:
    """Asks for rationales and decides whether they are used."""

    asker: Asker
    client: Client
    knowledge: Knowledge
    taxonomy: Taxonomy

    async def reason(self, description: Description) -> Rationale:
        """The rationale of a labelled case, in the model's words or, failing that, in the template's.

        Raises:
            Ungrounded: the textbook has nothing that joins the description to the diagnosis; nobody is asked.
        """
        view = View(description.said, self.knowledge, self.taxonomy)
        known = list(_passages(view))
        name = view.name(view.truth.node)
        body = self.asker.body(rationale_messages(description.said, description.text, name, known))
        asked = {**self.asker.described(), "request": request_key(body)}
        record = {"step": "rationale", "saw_answer": True, "asked": asked, "fallback": False, "fault": None}
        try:
            text = answers.prose(await self.client.ask(body), MAX_FORCED_THINKING)
            steps, report = self._read(text, description, view)
        except (InvalidAnswer, Refused, Unfit) as error:
            return self._template(description, {**record, "fault": fault_of(error)})
        return Rationale(steps, report, record)

    def _read(self, text: str, description: Description, view: View) -> tuple[tuple[Step, ...], Report]:
        """Raises Unfit."""
        if hidden := unseeable(text, self.taxonomy, view.findings.told):
            raise Unfit(f"not visible: {'; '.join(f'{found.kind}, in {found.sentence!r}' for found in hidden)}")
        self._check(f"{description.text} {text}", view)
        read = list(sentences(text, self.taxonomy))
        closing = {node for clause in read[-1].clauses for _, nodes in clause.names for node in nodes}
        concludes = any(clause.words & CONCLUDES for clause in read[-1].clauses)
        if not concludes or view.truth.node not in closing:
            raise Unfit(f"does not conclude: {read[-1].text}")
        steps = tuple(_step(sentence, sentence is read[-1], view) for sentence in read)
        if not citations(steps):
            raise Unfit("cites nothing")
        rivals = list(_rivals(read, view))
        if len(rivals) > MOST_RIVALS:
            raise Unfit(f"names too many rivals: {len(rivals)}; at most {MOST_RIVALS}")
        return steps, report_of(view, citations(steps), rivals)

    def _check(self, text: str, view: View) -> None:
        """Raises Unfit."""
        if len(text) > MAX_FORCED_THINKING:
            raise Unfit(f"too long: {len(text)} characters with the description; at most {MAX_FORCED_THINKING}")
        if faults := check_text(text, view.case, self.knowledge, self.taxonomy):
            raise Unfit(f"not grounded: {'; '.join(f'{fault.why}, in {fault.sentence!r}' for fault in faults)}")

    def _template(self, description: Description, record: dict[str, Any]) -> Rationale:
        """The steps of the kind ``direct`` that follow its findings; none if it does not stand the check either."""
        made, refused = trajectories(description.said, self.knowledge, self.taxonomy, ("direct",))
        if refused:
            return Rationale((), None, {**record, "template": refused[0].reason})
        argued = (step for step in made[0].steps if step.kind != "finding")
        steps = tuple(replace(step, wording="rewrite refused") for step in argued)
        view = View(description.said, self.knowledge, self.taxonomy)
        try:
            self._check(" ".join((description.text, *(step.text for step in steps))), view)
        except Unfit as error:
            return Rationale((), None, {**record, "template": str(error)})
        return Rationale(steps, made[0].report, {**record, "fallback": True})


def _passages(view: View) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Passages to argue from, as (id, name of the disease, its signs there): of the diagnosis, then of its rivals."""
    own = view.truth
    ranked = sorted(own.passages, key=lambda p: (-len(own.passages[p] & set(view.supporting)), p))
    for passage in ranked[:PASSAGES]:
        yield passage, view.name(own.node), in_order(own.passages[passage])
    sharing = [rival for rival in view.rivals if view.shared(rival)]
    for rival in sharing[:RIVALS]:
        passage = rival.passage_for(*view.shared(rival))
        yield passage, view.name(rival.node), in_order(rival.passages[passage])


def _step(sentence: Sentence, last: bool, view: View) -> Step:
    cited = [passage for clause in sentence.clauses for passage in clause.passages]
    named = sorted(node for clause in sentence.clauses for _, nodes in clause.names for node in nodes)
    kinds: dict[str, StepKind] = {"observation": "finding", "knowledge": "knowledge", "inference": "comparison"}
    about = view.truth.node if last or view.truth.node in named else next(iter(named), None)
    kind = "conclusion" if last else kinds[sentence.type]
    return Step(sentence.text, kind, cited[0] if cited else "label", True, about, wording="rewritten")


def _rivals(read: list[Sentence], view: View) -> Iterator[Textbook]:
    """Diagnoses that the rationale names beside the true one: the differential must list them, each once."""
    truth = set(view.taxonomy.path(view.truth.node))
    listed: set[str] = set()
    for nodes in (nodes for sentence in read for clause in sentence.clauses for _, nodes in clause.names):
        if nodes & truth or nodes & listed:
            continue
        known = [rival.node for rival in view.rivals if rival.node in nodes]
        listed.add(node := known[0] if known else min(nodes))
        yield view.shelf.book(node)
