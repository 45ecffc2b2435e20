"""Prediction rows x taxonomy -> Outcomes: what was true, what was said, and whether it was inside the contract.

The text is read by :func:`skinr1.answer_forms.read_answer` (a report by :func:`skinr1.report.parse`) and by nothing
else. An invalid answer becomes an Outcome without an answer; it is never dropped, so it stays in every denominator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skinr1.answer_forms import Form, Step, read_answer
from skinr1.concepts import concept
from skinr1.errors import UserError
from skinr1.report import Answer, InvalidAnswer, inconsistencies
from skinr1.stage import read_jsonl, read_manifest
from skinr1.taxonomy import Bucket, Taxonomy

PREDICTIONS = "predictions.jsonl"


class Prediction(BaseModel):
    """One row of ``predictions.jsonl``: the truth of a case and the raw text a model wrote about it.

    What docs/evaluation.md says of the fields holds; all but the case, its diagnoses and the text may be missing.
    """

    model_config = ConfigDict(frozen=True)

    case_id: str
    patient_id: str | None = None
    group: str | None = None
    source: str = ""
    modality: str | None = None
    site: str | None = None
    sex: str | None = None
    age: int | None = None
    skin_tone: str | None = None
    tone_provenance: str | None = None
    diagnoses: tuple[str, ...] = Field(min_length=1)
    label: str | None = None
    condition: Bucket | None = None
    differential: tuple[tuple[str, float], ...] = ()
    readers: tuple[tuple[tuple[str, ...], ...], ...] = ()
    findings: tuple[str, ...] = ()
    findings_absent: tuple[str, ...] = ()
    image: str = ""
    text: str
    finish_reason: str = ""
    form: Form = "report"
    options: tuple[tuple[str, ...], ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """One answered case.

    Attributes:
        row: the prediction as stored.
        answer: the parsed answer; None when the text is outside the contract.
        invalid: the parser's reason and detail; None for a valid answer.
        faults: contradictions inside a valid report.
    """

    row: Prediction
    answer: Answer | None
    invalid: InvalidAnswer | None = None
    faults: tuple[str, ...] = ()

    @property
    def case_id(self) -> str:
        return self.row.case_id

    @property
    def cluster(self) -> str:
        """The unit that is resampled, the one that splits keep together: patient, else lesion, else the case itself."""
        return self.row.group or self.row.patient_id or self.row.case_id

    @property
    def predicted(self) -> str | None:
        """The diagnosis given; None when invalid or declined."""
        return self.answer.report.diagnosis if self.answer else None

    @property
    def predicted_condition(self) -> Bucket | None:
        """The lesion condition given; None when invalid or declined."""
        return self.answer.report.condition if self.answer else None


def outcome(row: Prediction, taxonomy: Taxonomy) -> Outcome:
    """Parses one answer.

    Raises:
        UserError: a true diagnosis or annotated sign is not in the vocabulary, or a reader ranks one twice (the model's
            mistakes never raise).
    """
    readers = [[node for block in blocks for node in block] for blocks in row.readers]
    for node in (*row.diagnoses, *(node for node, _ in row.differential), *chain.from_iterable(readers)):
        taxonomy.node(node)
    if any(len(set(named)) < len(named) for named in readers):
        raise UserError("a reader ranks a diagnosis twice", f"case {row.case_id}", "Name each once a reader.")
    for name in (*row.findings, *row.findings_absent):
        concept(name)
    try:
        answer = read_answer(row.form, row.text, taxonomy, row.options, row.steps)
    except InvalidAnswer as error:
        return Outcome(row, None, invalid=error)
    return Outcome(row, answer, faults=tuple(inconsistencies(answer.report, taxonomy)))


def prediction_of(row: Mapping[str, Any], where: str) -> Prediction:
    """A stored row, checked. Raises UserError with the field at fault; ``where`` is what the message names."""
    try:
        return Prediction.model_validate(dict(row))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{field}: {first['msg']}", where, "Run eval/predict.py again.") from None


def outcomes(rows: Iterable[Mapping[str, Any]], taxonomy: Taxonomy, where: str = PREDICTIONS) -> list[Outcome]:
    """All rows, sorted by case id, so that nothing downstream depends on the order of answering.

    Raises:
        UserError: no row, a malformed row, a case without a true diagnosis, or a case that occurs twice.
    """
    parsed: dict[str, Outcome] = {}
    for number, row in enumerate(rows, 1):
        prediction = prediction_of(row, f"{where}:{number}")
        if prediction.case_id in parsed:
            place = f"{where}:{number} ({prediction.case_id})"
            raise UserError("case is answered twice", place, "Keep one answer a case.")
        parsed[prediction.case_id] = outcome(prediction, taxonomy)
    if not parsed:
        raise UserError("no predictions", where, "Run eval/predict.py on a split that has cases.")
    return [parsed[case_id] for case_id in sorted(parsed)]


def read_outcomes(folder: Path, taxonomy: Taxonomy) -> list[Outcome]:
    """The outcomes of a finished predictions folder. Raises UserError as :func:`outcomes` does."""
    read_manifest(folder)
    path = folder / PREDICTIONS
    return outcomes(read_jsonl(path), taxonomy, str(path))
