"""A finished trajectory in a model's words, sentence by sentence; the grounding check decides which are kept."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.llm import Client, Refused, answers
from skinr1.prompts import reword_messages
from skinr1.report import InvalidAnswer, parse
from skinr1.stage import read_jsonl
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.description import fault_of
from skinr1.trajectories.grounding import check
from skinr1.trajectories.model import Claim, Step, Trajectory
from skinr1.trajectories.rewriting import longest, reword


@dataclass(frozen=True)
class Reworded:
    """The trajectory and its record: which steps kept the template's words, and why.

    ``faults`` is empty unless the trajectory itself fails the grounding check: it must not be used then.
    """

    trajectory: Trajectory
    record: dict[str, Any]
    faults: list[str]

    @property
    def counts(self) -> Counter[str]:
        """Steps reworded and steps that kept the template's words, for the manifest."""
        refused = [f"fallback:rewording: {step['fault'].partition(':')[0]}" for step in self.record["kept"]]
        return Counter({"steps:reworded": self.record["reworded"], **Counter(refused)})


@dataclass(frozen=True)
class Reworder:
    """Asks for other words: one sentence a request, and nothing of the case beside it."""

    asker: Asker
    client: Client
    knowledge: Knowledge
    taxonomy: Taxonomy

    async def reword(self, old: Trajectory, case: Case) -> Reworded:
        """Every step in other words, or in its own where those cannot be used."""
        texts = list(dict.fromkeys(step.text for step in old.steps))
        given = _Given(dict(zip(texts, await asyncio.gather(*map(self._ask, texts)), strict=True)))
        new = reword(old, given, case, self.knowledge, self.taxonomy)
        kept = [
            {"step": number, "fault": given.fault(step.text)}
            for number, step in enumerate(new.steps)
            if step.wording == "rewrite refused"
        ]
        record = {
            "step": "rewording",
            "saw_answer": any(step.saw_answer for step in old.steps),
            "asked": self.asker.described(),
            "fallback": bool(kept),
            "reworded": sum(step.text != before.text for step, before in zip(new.steps, old.steps, strict=True)),
            "kept": kept,
        }
        return Reworded(new, record, check(new, case, self.knowledge, self.taxonomy))

    async def _ask(self, text: str) -> tuple[str, str | None]:
        try:
            return answers.prose(await self.client.ask(self.asker.body(reword_messages(text))), longest(text)), None
        except (InvalidAnswer, Refused) as error:
            return "", fault_of(error)


@dataclass(frozen=True)
class _Given:
    """A rewriter whose words were asked for beforehand: text -> (other words, why there are none)."""

    words: Mapping[str, tuple[str, str | None]]

    def rewrite(self, step_text: str) -> str:
        return self.words[step_text][0]

    def fault(self, step_text: str) -> str:
        words, fault = self.words[step_text]
        return fault or f"not grounded: {words}"


def read_drafts(
    folder: Path, splits: Iterable[str], cases: Mapping[str, Case], taxonomy: Taxonomy
) -> Iterator[tuple[Case, Trajectory]]:
    """The trajectories of a finished trajectories stage, each with its case.

    Args:
        cases: by id.

    Raises:
        UserError: a row is of another form, or of a case that is not there.
    """
    for split in splits:
        for row in read_jsonl(folder / f"{split}.jsonl"):
            trajectory = trajectory_of(row, taxonomy)
            if trajectory.case_id not in cases:
                raise UserError("trajectory of an unknown case", trajectory.case_id, "Give the cases it was made from.")
            yield cases[trajectory.case_id], trajectory


def trajectory_of(row: Mapping[str, Any], taxonomy: Taxonomy) -> Trajectory:
    """The trajectory that :func:`skinr1.trajectories.rows.trajectory_row` wrote.

    Raises:
        UserError: the row is of another form.
    """
    try:
        report = parse(row["completion"][0]["content"][0]["text"], taxonomy).report
        steps = tuple(
            Step(**{**step, "claims": tuple(Claim(**claim) for claim in step["claims"])})
            for step in json.loads(row["provenance"])
        )
        return Trajectory(row["kind"], row["case_id"], steps, report)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        where = f"case {row.get('case_id')}"
        raise UserError(f"not a row of the trajectories stage ({error})", where, "Build the stage again.") from None
