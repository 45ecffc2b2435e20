"""Step by step down the tree: one round a branching, whose options the answer of the round before decides."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skinr1.answer_forms import Step, read_answer
from skinr1.errors import UserError
from skinr1.questions import Options
from skinr1.report import InvalidAnswer
from skinr1.serving.client import Completion
from skinr1.tasks.asking import Item
from skinr1.taxonomy import Taxonomy

Ask = Callable[[Sequence[Item]], Awaitable[Mapping[str, Completion]]]


class Branches:
    """The part of the tree that holds the labels of all questions.

    A node that leads to one other only is passed over: nothing is asked where there is nothing to choose. A node that
    is a label itself and has labels below it is an option beside them, "no subtype".
    """

    def __init__(self, labels: Sequence[str], taxonomy: Taxonomy):
        self._labels = set(labels)
        self._below: dict[str | None, set[str]] = {}
        for label in self._labels:
            above: str | None = None
            for node in taxonomy.path(label):
                self._below.setdefault(above, set()).add(node)
                above = node

    @property
    def start(self) -> str | None:
        """Where every walk begins: the root, or the node that all labels lie below."""
        below = self._below.get(None, set())
        return self._forced(min(below)) if len(below) == 1 else None

    def options(self, node: str | None) -> Options:
        """What a walk that has come to a node is asked; empty at its end."""
        below = sorted(map(self._forced, self._below.get(node, ())))
        stay = [node] if below and node in self._labels else []
        return tuple((option,) for option in (*below, *stay) if option is not None)

    def _forced(self, node: str) -> str:
        """The first node from here on that branches or is a label."""
        while node not in self._labels and len(self._below.get(node, ())) == 1:
            (node,) = self._below[node]
        return node


@dataclass
class Walk:
    """One descent under way. ``node`` is where it has come to; ``options`` are empty once it has ended."""

    item: Item
    options: Options
    node: str | None = None
    steps: list[Step] = field(default_factory=list)

    def take(self, answer: Completion, branches: Branches, taxonomy: Taxonomy) -> None:
        """Goes where the answer says. An invalid answer ends the walk; the scorer reads it again and says so."""
        self.steps.append(Step(options=self.options, text=answer.text, finish_reason=answer.finish_reason))
        try:
            chosen = read_answer("choice", answer.text, taxonomy, self.options).report.diagnosis
        except InvalidAnswer:
            self.options = ()
            return
        self.options = () if chosen == self.node else branches.options(chosen)
        self.node = chosen


async def descend(items: Sequence[Item], ask: Ask, taxonomy: Taxonomy, seed: int) -> dict[str, list[Step]]:
    """Row id -> steps, in rounds: all walks that have not ended are asked, then each goes on.

    Raises:
        UserError: the labels do not branch, so that there is nothing to ask; or as ``ask``.
    """
    branches = Branches([node for item in items for node in item.case.diagnoses], taxonomy)
    walks = [Walk(item, branches.options(branches.start), branches.start) for item in items]
    if not all(walk.options for walk in walks):
        raise UserError("labels do not branch", "descent", "Ask about cases with more than one diagnosis.")
    while under_way := [walk for walk in walks if walk.options]:
        for walk in under_way:
            walk.options = _shuffled(walk.options, f"{seed}\t{walk.item.case_id}\t{walk.node}")
        answers = await ask([replace(walk.item, options=walk.options, so_far=walk.node) for walk in under_way])
        for walk in under_way:
            walk.take(answers[walk.item.case_id], branches, taxonomy)
    return {walk.item.case_id: walk.steps for walk in walks}


def _shuffled(options: Options, name: str) -> Options:
    listed = list(options)
    random.Random(f"descent {name}").shuffle(listed)
    return tuple(listed)
