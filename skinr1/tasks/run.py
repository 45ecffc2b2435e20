"""A task put to a model: its questions, the answers, and the rows that are scored."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skinr1.answer_forms import Step
from skinr1.backends import Backend
from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.serving.client import Completion
from skinr1.tasks.asking import Item, TaskAsker, task_row
from skinr1.tasks.descent import descend
from skinr1.tasks.options import LeftOut, questions
from skinr1.tasks.task import Task
from skinr1.taxonomy import Taxonomy

_LEVEL = re.compile(r"level_\d+")


def check_metrics(task: Task, taxonomy: Taxonomy) -> None:
    """Before anything is asked. Raises UserError for a metric that no scorer knows; a level may be any."""
    from skinr1.metrics import forms, rationale  # here, because they import scipy, which takes seconds
    from skinr1.metrics.catalogue import catalogue
    from skinr1.metrics.tree import Tree

    known = [metric.name for metric in (*catalogue(Tree(taxonomy)), *rationale.metrics({}))]
    known = sorted({_LEVEL.sub("level_1", name) for name in (*known, *forms.NAMES)})
    for name in task.metrics:
        if _LEVEL.sub("level_1", name) not in known:
            near = ", ".join(difflib.get_close_matches(name, known, 3)) or "see docs/evaluation.md"
            raise UserError("unknown metric", f"task {task.name}: {name}", f"Nearest: {near}.")


@dataclass(frozen=True)
class Questions:
    """What a task asks about labelled cases, and what of them it does not ask."""

    task: Task
    items: Sequence[Item]
    left_out: Sequence[LeftOut]

    @classmethod
    def of(
        cls, task: Task, cases: Sequence[Case], taxonomy: Taxonomy, seed: int, knowledge: Knowledge | None
    ) -> "Questions":
        """Raises UserError when nothing is left to ask, or the task names a metric that there is not."""
        check_metrics(task, taxonomy)
        items, left_out = questions(task, cases, taxonomy, seed, knowledge)
        made = cls(task, items, left_out)
        if not items:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in made.reasons.items())
            raise UserError(f"task {task.name} has nothing to ask", reasons or "no case", "Choose other cases.")
        return made

    @property
    def reasons(self) -> dict[str, int]:
        """Why cases are not asked -> how many."""
        return dict(sorted(Counter(left.reason for left in self.left_out).items()))


async def answers_to(
    asked: Questions, model: Backend, taxonomy: Taxonomy, seed: int, round_begins: Callable[[int], Callable[[], None]]
) -> list[dict[str, Any]]:
    """The rows of predictions.jsonl, in the order of the questions.

    Args:
        round_begins: told how many questions come, at once or in each round of a descent; what it returns is called
            after each answer.

    Raises:
        UserError: as :func:`skinr1.predictions.ask_all`, or labels of a descent that do not branch.
    """
    asker = TaskAsker(model.asker, asked.task)

    async def ask(items: Sequence[Item]) -> Mapping[str, Completion]:
        done = round_begins(len(items))
        return await model.ask(asker, items, lambda known: done())

    steps: dict[str, list[Step]] = {}
    if asked.task.form == "descent":
        steps = await descend(asked.items, ask, taxonomy, seed)
        answers: Mapping[str, Completion] = {
            row: Completion(found[-1].text, found[-1].finish_reason) for row, found in steps.items()
        }
    else:
        answers = await ask(asked.items)
    return [
        task_row(asked.task, item, answers[item.case_id], taxonomy, steps.get(item.case_id, ())) for item in asked.items
    ]
