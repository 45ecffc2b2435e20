"""What a model is asked besides the report: tasks as YAML, their questions, and how they are put.

- :mod:`skinr1.tasks.task` is the file: data, prompt, answer form, options, metrics.
- :mod:`skinr1.tasks.options` draws the options of every question.
- :mod:`skinr1.tasks.asking` turns a question into a request, and an answer into a row.
- :mod:`skinr1.tasks.descent` walks down the tree, where each answer decides the options of the next round.
- :mod:`skinr1.tasks.run` puts all questions of a task to a model.

Answers are read by :mod:`skinr1.answer_forms` and scored by :mod:`skinr1.metrics.forms`.
"""

from skinr1.tasks.asking import Item, TaskAsker
from skinr1.tasks.options import LeftOut
from skinr1.tasks.run import Questions, answers_to
from skinr1.tasks.task import Task, load_task

__all__ = ["Item", "LeftOut", "Questions", "Task", "TaskAsker", "answers_to", "load_task"]
