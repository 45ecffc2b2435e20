"""A language model as judge of reasoning, and how far it agrees with the deterministic checker.

The judge sees what the checker sees: the case's annotations and label, the cited passages, the sentences. It votes
several times, and a verdict needs more than half of the votes. What it does not judge stays in every denominator.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from skinr1 import prompts
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.llm import Client, Refused
from skinr1.llm.answers import JUDGEMENTS, judgements
from skinr1.metrics import Outcome
from skinr1.metrics.agreement import cohen_kappa, coincidences, krippendorff_alpha
from skinr1.metrics.catalogue import Counted, Metric, Seen
from skinr1.metrics.statistics import Array, ratio
from skinr1.report import InvalidAnswer
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.asking import Asker
from skinr1.trajectories.free_text import check_text
from skinr1.trajectories.reading import sentences

NO_VERDICT = "no verdict"
VERDICTS = (*JUDGEMENTS, NO_VERDICT)
SUPPORTED, CONTRADICTED = JUDGEMENTS[:2]


@dataclass(frozen=True)
class Reasoning:
    """A valid answer's reasoning, read by the checker.

    Attributes:
        texts: its sentences.
        grounded: (sentences,) whether the checker finds no fault.
        cited: id -> text of the passages it cites, None where there is none.
    """

    case: Case
    texts: tuple[str, ...]
    grounded: tuple[bool, ...]
    cited: Mapping[str, str | None]

    @classmethod
    def of(cls, thinking: str, case: Case, knowledge: Knowledge, taxonomy: Taxonomy) -> "Reasoning":
        faulty = {fault.start for fault in check_text(thinking, case, knowledge, taxonomy)}
        read = sentences(thinking, taxonomy)
        names = dict.fromkeys(name for sentence in read for clause in sentence.clauses for name in clause.passages)
        found = {name: knowledge.passages[name].text if name in knowledge.passages else None for name in names}
        texts, grounded = (s.text for s in read), (s.start not in faulty for s in read)
        return cls(case, tuple(texts), tuple(grounded), found)


@dataclass(frozen=True)
class Judged:
    """A reasoning with the judge's votes.

    Attributes:
        votes: each the verdicts on all sentences, or the reason why an answer is none.
    """

    reasoning: Reasoning
    votes: tuple[tuple[str, ...] | str, ...]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdict of more than half of all votes on each sentence; a vote that is none counts among all."""
        return tuple(self._majority(at) for at in range(len(self.reasoning.texts)))

    def cast(self, at: int) -> list[str]:
        """The usable votes on a sentence."""
        return [vote[at] for vote in self.votes if not isinstance(vote, str)]

    def _majority(self, at: int) -> str:
        counts = Counter(self.cast(at))
        return next((verdict for verdict, n in counts.items() if 2 * n > len(self.votes)), NO_VERDICT)

    def plain(self) -> dict[str, Any]:
        """A row of verdicts.jsonl."""
        return {
            "case_id": self.reasoning.case.case_id,
            "sentences": [
                {"text": text, "grounded": grounded, "verdict": verdict, "votes": self.cast(at)}
                for at, (text, grounded, verdict) in enumerate(
                    zip(self.reasoning.texts, self.reasoning.grounded, self.verdicts, strict=True)
                )
            ],
            "unusable": [vote for vote in self.votes if isinstance(vote, str)],
        }


@dataclass(frozen=True)
class Judge:
    """A model that votes.

    Attributes:
        asker: model and sampling; each vote has a seed of its own, counted up from the asker's.
        votes: how many.
        structured: the form of the answer is forced by a JSON schema, where the endpoint can.
    """

    asker: Asker
    votes: int
    structured: bool
    client: Client
    taxonomy: Taxonomy

    async def judge(self, reasoning: Reasoning) -> Judged:
        """All votes on a reasoning. Raises UserError when the endpoint fails."""
        if not reasoning.texts:
            return Judged(reasoning, ())
        names = [self.taxonomy.node(node).name for node in reasoning.case.diagnoses]
        messages = prompts.judge_messages(reasoning.case, names, reasoning.cited, reasoning.texts)
        seeds = range(self.asker.seed, self.asker.seed + self.votes)
        form = {"response_format": verdict_form(len(reasoning.texts))} if self.structured else {}
        bodies = ({**replace(self.asker, seed=seed).body(messages), **form} for seed in seeds)
        votes = (self._vote(body, len(reasoning.texts)) for body in bodies)
        return Judged(reasoning, tuple(await asyncio.gather(*votes)))

    async def _vote(self, body: Mapping[str, Any], count: int) -> tuple[str, ...] | str:
        try:
            return judgements(await self.client.ask(body), count)
        except InvalidAnswer as error:
            return error.reason
        except Refused as error:
            return f"refused: {error}"


def verdict_form(count: int) -> dict[str, Any]:
    """``response_format`` of an answer with so many verdicts, as OpenAI and vLLM take it."""
    verdicts = {"type": "array", "items": {"enum": list(JUDGEMENTS)}, "minItems": count, "maxItems": count}
    schema = {
        "type": "object",
        "properties": {"verdicts": verdicts},
        "required": ["verdicts"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "verdicts", "strict": True, "schema": schema}}


def reasonings(
    outcomes: Iterable[Outcome], cases: Mapping[str, Case], knowledge: Knowledge, taxonomy: Taxonomy
) -> list[Reasoning]:
    """Those of valid answers, in order. Raises UserError when an answered case is not among the cases."""
    found = []
    for outcome in outcomes:
        if outcome.case_id not in cases:
            raise UserError("answered case is not among the cases", outcome.case_id, "Give the cases it was asked of.")
        if outcome.answer:
            found.append(Reasoning.of(outcome.answer.thinking, cases[outcome.case_id], knowledge, taxonomy))
    return found


def metrics(judged: Mapping[str, Judged]) -> tuple[Metric, ...]:
    """Rates and agreement over the sentences of a run; an invalid answer is one sentence that nothing supports.

    Agreement is over judged reasonings only: on an invalid answer there is nothing to disagree about. ``no verdict``
    is a class of its own there, which the checker never gives, and so counts as disagreement.
    """

    rates = partial(_over, judged, _counts, [0, 0, 0, 0, 1])
    kappa, alpha = (partial(_over, judged, row, [0.0] * 9) for row in (_pairs, _coincidences))
    shares = ("supported", "contradicted", "no_verdict", "grounded")
    return (
        *(Metric(f"{name}_sentence_rate", rates, partial(_share, at)) for at, name in enumerate(shares)),
        Metric("supported_minus_grounded", rates, _difference, bounded=False),
        Metric("kappa_with_checker", kappa, cohen_kappa, bounded=False),
        Metric("alpha_of_votes", alpha, krippendorff_alpha, bounded=False),
    )


def _over(
    judged: Mapping[str, Judged], row: Callable[[Judged], Sequence[float]], missing: Sequence[float], seen: Seen
) -> Counted:
    """A row of sums for each case of a run; ``missing`` is that of one without a valid answer."""
    found = [row(judged[case]) if case in judged else missing for case in seen.columns.case_id.tolist()]
    sums = np.array(found, dtype=np.float64)
    return Counted(sums, np.asarray(sums.any(axis=1)))


def _share(at: int, sums: Array) -> Array:
    return ratio(sums[..., [at, 4]])


def _difference(sums: Array) -> Array:
    return ratio(sums[..., [0, 4]]) - ratio(sums[..., [3, 4]])


def _counts(one: Judged) -> Sequence[float]:
    """Sentences supported, contradicted, without a verdict, grounded, and all."""
    counts = Counter(one.verdicts)
    found = (counts[verdict] for verdict in (SUPPORTED, CONTRADICTED, NO_VERDICT))
    return (*found, sum(one.reasoning.grounded), len(one.verdicts))


def _pairs(one: Judged) -> list[float]:
    """[9] judge x checker over supported, not, no verdict."""
    table = np.zeros((3, 3))
    for verdict, grounded in zip(one.verdicts, one.reasoning.grounded, strict=True):
        table[{SUPPORTED: 0, NO_VERDICT: 2}.get(verdict, 1), 0 if grounded else 1] += 1
    return list(table.ravel())


def _coincidences(one: Judged) -> list[float]:
    votes = [[JUDGEMENTS.index(vote) for vote in one.cast(at)] for at in range(len(one.reasoning.texts))]
    return list(coincidences(votes, len(JUDGEMENTS)).sum(axis=0))


def confusion(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """Checker's finding -> judge's verdict -> sentences."""
    table = {finding: dict.fromkeys(VERDICTS, 0) for finding in ("grounded", "not grounded")}
    for one in judged:
        for verdict, grounded in zip(one.verdicts, one.reasoning.grounded, strict=True):
            table["grounded" if grounded else "not grounded"][verdict] += 1
    return table
