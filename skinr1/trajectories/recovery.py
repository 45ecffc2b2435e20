"""The recoverability filter: does a reader who has only the description find the diagnosis?

The candidates are the same for every case of a run, so the list tells nothing about a case, and no distractor has to
be made up. A vote recovers the label if it names a node of the label or one below it: an ancestor is too coarse, a
subtype cannot be refuted by the label. A vote outside the expected form counts against recovery and never leaves the
denominator.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from skinr1.llm import Client, Refused, answers
from skinr1.prompts import reader_messages
from skinr1.report import InvalidAnswer
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import normalise
from skinr1.trajectories.asking import Asker


@dataclass(frozen=True)
class Vote:
    """One reading: the name given and whether it is right, or why the answer could not be used."""

    seed: int
    named: str | None
    recovers: bool
    unusable: str | None = None


@dataclass(frozen=True)
class Recovery:
    """All readings of one description."""

    votes: tuple[Vote, ...]
    needed: int

    @property
    def recovered(self) -> bool:
        return sum(vote.recovers for vote in self.votes) >= self.needed

    def plain(self) -> dict[str, Any]:
        return {"votes": [asdict(vote) for vote in self.votes], "needed": self.needed, "recovered": self.recovered}


@dataclass(frozen=True)
class Reader:
    """The text-only reader.

    Attributes:
        asker: its model; each vote has a seed of its own, counted up from the asker's.
        candidates: names to choose from, the same for all cases; None asks openly.
    """

    asker: Asker
    votes: int
    needed: int
    candidates: tuple[str, ...] | None

    async def read(self, description: str, label: Collection[str], client: Client, taxonomy: Taxonomy) -> Recovery:
        """The votes on one description. The label is compared with the answers and never sent."""
        seeds = range(self.asker.seed, self.asker.seed + self.votes)
        votes = await asyncio.gather(*(self._vote(seed, description, label, client, taxonomy) for seed in seeds))
        return Recovery(tuple(votes), self.needed)

    async def _vote(
        self, seed: int, description: str, label: Collection[str], client: Client, taxonomy: Taxonomy
    ) -> Vote:
        body = replace(self.asker, seed=seed).body(reader_messages(description, self.candidates))
        try:
            name = answers.verdict(await client.ask(body))
        except InvalidAnswer as error:
            return Vote(seed, None, False, error.reason)
        except Refused as error:
            return Vote(seed, None, False, f"refused: {error}")
        if self.candidates is not None and normalise(name) not in map(normalise, self.candidates):
            return Vote(seed, name, False, "not a candidate")
        nodes = taxonomy.labelled(name)
        return Vote(seed, name, any(own in taxonomy.path(node) for node in nodes for own in label))


def candidates(labels: Sequence[Collection[str]], taxonomy: Taxonomy) -> tuple[str, ...]:
    """Every diagnosis that occurs among the labels of a run, by name, in alphabetical order."""
    return tuple(sorted({taxonomy.node(node).name for label in labels for node in label}))
