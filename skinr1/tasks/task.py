"""A task: one YAML file that says which cases are asked what, in which form they answer, and what is scored."""

import re
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from skinr1.answer_forms import Form
from skinr1.cases import Case, Modality
from skinr1.errors import UserError
from skinr1.seven_point import Checklist

PLACEHOLDERS = ("context", "options", "signs", "checklist", "so_far")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_CHOOSES = ("choice", "letter")
OptionKind = Literal["level", "block", "rivals", "path", "paths", "lineage"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFilter(_Frozen):
    """Which labelled cases are asked. ``sources`` empty: of every source."""

    sources: tuple[str, ...] = ()
    modality: Modality | None = None
    annotated: Literal["signs", "checklist"] | None = None

    def refuses(self, case: Case) -> str | None:
        """Why a case is not asked; None where it is."""
        if self.sources and case.source not in self.sources:
            return "of another source"
        if self.modality and case.modality != self.modality:
            return f"not {self.modality}"
        if self.annotated == "signs" and not case.present():
            return "no annotated sign"
        if self.annotated == "checklist" and Checklist.of(case.present(), case.absent()).unrecorded:
            return "checklist is not annotated whole"
        return None


class OptionSource(_Frozen):
    """Where options come from, see :mod:`skinr1.tasks.options`; ``size``: of a block or lineage; the most rivals."""

    kind: OptionKind
    size: int = Field(default=4, ge=2)


class Task(_Frozen):
    """A task as its file has it.

    Attributes:
        version: changes with the words or the data, so that no two runs are compared by mistake.
        prompt: the user's text, in which ``{context}`` (age, sex, site, complaints), ``{options}``, ``{signs}``,
            ``{checklist}`` and ``{so_far}`` are filled in; None is the question of every other run, for a report.
        system: None is the system message of the report.
        options: of a choice; a report may be asked to choose as well.
        metrics: names of the catalogue, of :mod:`skinr1.metrics.forms` or of :mod:`skinr1.metrics.rationale`; the
            other numbers of the scores say nothing about this task.
    """

    name: str
    version: int
    about: str
    form: Form
    data: DataFilter = DataFilter()
    system: str | None = None
    prompt: str | None = None
    options: OptionSource | None = None
    metrics: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        asked = set(_PLACEHOLDER.findall(self.prompt or ""))
        if unknown := sorted(asked - set(PLACEHOLDERS)):
            raise ValueError(f"prompt has {{{unknown[0]}}}; known are {', '.join(PLACEHOLDERS)}")
        if self.prompt is None and (self.form != "report" or self.options):
            raise ValueError("prompt is missing")
        if self.form in _CHOOSES and not self.options:
            raise ValueError(f"form {self.form} needs options")
        if self.options and self.form not in (*_CHOOSES, "report"):
            raise ValueError(f"form {self.form} takes no options")
        if ("options" in asked) != bool(self.options or self.form == "descent"):
            raise ValueError("prompt shows {options} if and only if there are any")
        return self


def load_task(path: Path) -> Task:
    """Reads a task file; the task is named after it.

    Raises:
        UserError: missing, not YAML, an unknown key, or parts that do not fit together.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError("task file not found", str(path), "Give one of eval/tasks, or your own.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not YAML ({error})", str(path), "Correct the file.") from None
    if not isinstance(content, dict):
        raise UserError("not a mapping of keys to values", str(path), "Write `key: value` lines.")
    try:
        return Task.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {first['msg']}".removeprefix(": "), str(path), "Correct the task.") from None
