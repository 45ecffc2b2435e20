"""Trajectories that a model helps to write: description, recoverability, rationale, each with a record.

The order is the cheapest that is honest. The visible-only filter comes before the recoverability filter, so that a
reader judges the words that are kept and not a complaint that is thrown away; the rationale comes last, so that none
is paid for that a filter drops.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from skinr1.cases import Case
from skinr1.llm import Client
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.description import Describer, Description
from skinr1.trajectories.evidence import Ungrounded, View
from skinr1.trajectories.model import Trajectory
from skinr1.trajectories.rationale import Reasoner
from skinr1.trajectories.recovery import Reader
from skinr1.trajectories.reports import undiagnosed

DESCRIPTION, DESCRIBED = "description", "described"


@dataclass(frozen=True)
class Written:
    """What was made of one case.

    Attributes:
        made: ``description``, without a diagnosis, and, of a labelled case, ``described``, with one.
        record: one entry a step, in order: whether it saw the answer, which model, prompt and sampling was asked,
            whether the template's words are used instead and why.
        rejected: (kind, reason) of what could not be made.
    """

    case: Case
    made: tuple[Trajectory, ...] = ()
    record: tuple[dict[str, Any], ...] = ()
    rejected: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True)
class Writer:
    """The steps in their order."""

    describer: Describer
    reader: Reader
    reasoner: Reasoner
    client: Client
    taxonomy: Taxonomy

    async def write(self, case: Case, images: Sequence[bytes]) -> Written:
        """Describes a case and, if it is labelled, reasons about it.

        Args:
            images: PNG bytes of the case's images, in their order.
        """
        description = await self.describer.describe(case, images)
        record = [description.record]
        if not description.steps:
            kinds = (DESCRIPTION, DESCRIBED) if case.diagnoses else (DESCRIPTION,)
            refused = tuple((kind, f"not described: {description.record['fault']}") for kind in kinds)
            return Written(case, (), tuple(record), refused)
        plain = self._described_only(description)
        if not case.diagnoses:
            return Written(case, (plain,), tuple(record))
        recovery = await self.reader.read(description.text, case.diagnoses, self.client, self.taxonomy)
        # Nobody who votes sees the answer; the verdict over the votes does, and so chooses which cases are kept.
        asked = {**self.reader.asker.described(), "votes": self.reader.votes}
        record.append({"step": "recoverability", "saw_answer": True, "asked": asked, **recovery.plain()})
        if not recovery.recovered:
            refused = tuple((kind, "not recovered from the description") for kind in (DESCRIPTION, DESCRIBED))
            return Written(case, (), tuple(record), refused)
        return await self._reasoned(case, description, plain, record)

    async def _reasoned(
        self, case: Case, description: Description, plain: Trajectory, record: list[dict[str, Any]]
    ) -> Written:
        try:
            rationale = await self.reasoner.reason(description)
        except Ungrounded as error:
            return Written(case, (plain,), tuple(record), ((DESCRIBED, str(error)),))
        record = [*record, rationale.record]
        if rationale.report is None:
            return Written(case, (plain,), tuple(record), ((DESCRIBED, f"no rationale: {rationale.record['fault']}"),))
        steps = (*description.steps, *rationale.steps)
        return Written(case, (plain, Trajectory(DESCRIBED, case.case_id, steps, rationale.report)), tuple(record))

    def _described_only(self, description: Description) -> Trajectory:
        view = View(description.said, self.reasoner.knowledge, self.taxonomy)
        return Trajectory(DESCRIPTION, description.said.case_id, description.steps, undiagnosed(view))


def counts_of(written: Written) -> Counter[str]:
    """What happened to one case, for the manifest: kinds made, sentences removed, votes, fallbacks and their causes."""
    counts = Counter(f"kind:{made.kind}" for made in written.made)
    for step in written.record:
        name = step["step"]
        counts.update(f"removed:{removed['kind']}" for removed in step.get("removed", ()))
        counts.update(f"votes:{_outcome(vote)}" for vote in step.get("votes", ()))
        if step.get("fault"):
            counts[f"fault:{name}:{step['fault'].partition(':')[0]}"] += 1
        if step.get("fallback"):
            counts[f"fallback:{name}"] += 1
        if "recovered" in step:
            counts["recovered" if step["recovered"] else "not recovered"] += 1
    return counts


def _outcome(vote: dict[str, Any]) -> str:
    if vote["unusable"]:
        return f"unusable, {vote['unusable'].partition(':')[0]}"
    return "right" if vote["recovers"] else "wrong"
