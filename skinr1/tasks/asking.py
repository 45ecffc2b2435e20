"""A question about a case -> a request; an answer -> a row of predictions.jsonl."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skinr1 import prompts
from skinr1.answer_forms import Step, names_of
from skinr1.cases import Case
from skinr1.form_schemas import form_tag
from skinr1.letters import LETTERS
from skinr1.predictions import Asker, prediction_row
from skinr1.questions import Options
from skinr1.serving.client import Completion
from skinr1.seven_point import ABSENT, CRITERIA
from skinr1.tasks.task import Task
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.description import vocabulary


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        case_id: of the row: the case's, or ``case#level-n`` where a case is asked several times.
        options: as shown.
        so_far: where a descent has come to; None at its beginning.
    """

    case_id: str
    case: Case
    options: Options = ()
    so_far: str | None = None


@dataclass(frozen=True)
class TaskAsker:
    """What a task asks, of whom, and how."""

    asker: Asker
    task: Task

    def body(self, item: Item) -> dict[str, Any]:
        """The request for one question: all images of the case, and the task's words."""
        system = prompts.SYSTEM if self.task.system is None else self.task.system
        return self.asker.request(item.case, self.words(item), system, self._tag(item))

    def words(self, item: Item) -> str:
        """The user's text."""
        if self.task.prompt is None:
            return prompts.question(item.case)
        filled = {
            "context": prompts.context(item.case),
            "options": listed(self.task, item, self.asker.taxonomy),
            "signs": "\n".join(f"{group}: {', '.join(names)}" for group, names in vocabulary(item.case).items()),
            "checklist": "\n".join(f"{name}: {', '.join((ABSENT, *values))}" for name, values in CRITERIA.items()),
            "so_far": so_far(item.so_far, self.asker.taxonomy),
        }
        text = self.task.prompt.strip()
        for name, value in filled.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _tag(self, item: Item) -> dict[str, Any] | None:
        if self.task.form == "report" or not self.asker.sampling.structured:
            return None
        return form_tag(self.task.form, self.asker.taxonomy, item.options)


def listed(task: Task, item: Item, taxonomy: Taxonomy) -> str:
    """The options as the form wants to see them: numbered lines, letters on one line, or names in a sentence."""
    names = names_of(item.options, taxonomy)
    if item.so_far is not None:
        stay = item.options.index((item.so_far,)) if (item.so_far,) in item.options else None
        names = [f"{name}, no subtype of it" if place == stay else name for place, name in enumerate(names)]
    if task.form == "letter":
        return " ".join(f"{letter}: {name}" for letter, name in zip(LETTERS, names, strict=False))
    if task.form == "report":
        return "; ".join(names)
    return "\n".join(f"{number}. {name}" for number, name in enumerate(names, 1))


def so_far(node: str | None, taxonomy: Taxonomy) -> str:
    """``Established: skin neoplasm, benign. `` for the path to a node; empty at the root."""
    if node is None:
        return ""
    return f"Established: {', '.join(taxonomy.node(part).name for part in taxonomy.path(node))}. "


def task_row(
    task: Task, item: Item, answer: Completion, taxonomy: Taxonomy, steps: Sequence[Step] = ()
) -> dict[str, Any]:
    """A row of predictions.jsonl; a report without options has no column more than without a task."""
    row = {**prediction_row(item.case, answer, taxonomy), "case_id": item.case_id}
    if task.form != "report":
        row["form"] = task.form
    if item.options:
        row["options"] = [list(nodes) for nodes in item.options]
    if steps:
        row["steps"] = [step.model_dump(mode="json") for step in steps]
    return row
