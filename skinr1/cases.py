"""Case: the only record of a patient. Every source yields Cases, lazily, one at a time."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from skinr1.errors import UserError
from skinr1.scale.tables import read_rows

Split = Literal["train", "validation", "test"]
Modality = Literal["clinical", "dermoscopic"]
Weight = Annotated[float, Field(gt=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SkinTone(_Frozen):
    """A tone is meaningless without its scale and who said it; an unknown tone is no SkinTone at all.

    Scale ``fitzpatrick_pair`` is for data that say no more than 1: I-II, 2: III-IV, 3: V-VI.
    """

    scale: Literal["fitzpatrick", "monk", "fitzpatrick_pair"]
    value: int = Field(ge=1, le=10)
    provenance: Literal["clinician", "self_report", "annotator", "estimated", "rendered"]

    @model_validator(mode="after")
    def _on_its_scale(self) -> Self:
        if self.value > (highest := {"fitzpatrick": 6, "monk": 10, "fitzpatrick_pair": 3}[self.scale]):
            raise ValueError(f"tone {self.value} is above {highest}, the highest of scale {self.scale}")
        return self


class Finding(_Frozen):
    """What an annotator (never a model, never the label) recorded about this case.

    ``concept`` is a name of :mod:`skinr1.concepts`; ``present`` False means looked for and absent.
    """

    concept: str
    present: bool = True


class Role(StrEnum):
    """What a case is for. The dense few carry findings; the sparse many carry only a label."""

    CAPTION = "caption"
    DENSE = "dense"
    SPARSE = "sparse"


class Case(_Frozen):
    """One patient encounter.

    Attributes:
        images: file paths relative to the folder that holds ``cases.jsonl``.
        diagnoses: sorted node ids the label denotes; empty means unlabelled. Of a differential, the leading nodes.
        differential: (node, weight) of a label that readers disagreed on, heaviest first; weights sum to at most 1,
            and less where a part of the label has no node. Empty where the label is one diagnosis.
        findings: annotations of this case only.
        skin_tone: the one to group by; ``other_tones`` holds what was said on other scales or by other people.
        modality: of every image; None when unknown or when images differ.
        modalities: one an image, where they differ; empty otherwise.
        evaluation_only: never to be trained on; :func:`training_cases` refuses it.
        split: the data set's own, from its source, or set by the grouped splitter, by patient; None until then.
    """

    case_id: str
    source: str
    images: tuple[str, ...] = Field(min_length=1)
    role: Role
    label: str | None = None
    diagnoses: tuple[str, ...] = ()
    differential: tuple[tuple[str, Weight], ...] = ()
    findings: tuple[Finding, ...] = ()
    patient_id: str | None = None
    lesion_id: str | None = None
    skin_tone: SkinTone | None = None
    other_tones: tuple[SkinTone, ...] = ()
    age: int | None = Field(default=None, ge=0, le=120)
    sex: Literal["female", "male"] | None = None
    site: str | None = None
    history: tuple[str, ...] = ()
    modality: Modality | None = None
    modalities: tuple[Modality, ...] = ()
    licence: str
    attribution: str = ""
    evaluation_only: bool = False
    split: Split | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.modalities and len(self.modalities) != len(self.images):
            raise ValueError("modalities are not one an image")
        nodes, weights = [node for node, _ in self.differential], [weight for _, weight in self.differential]
        if len(set(nodes)) < len(nodes) or weights != sorted(weights, reverse=True) or sum(weights) > 1 + 1e-4:
            raise ValueError("differential repeats a node, is not sorted by weight, or sums to more than 1")
        return self

    @property
    def group(self) -> str:
        """The unit that must not straddle a split: patient, else lesion, else the case itself."""
        return self.patient_id or self.lesion_id or self.case_id

    @property
    def tone_group(self) -> str | None:
        """Skin tone with its scale (``fitzpatrick 5``), None where it is unknown."""
        return f"{self.skin_tone.scale} {self.skin_tone.value}" if self.skin_tone else None

    def present(self) -> tuple[str, ...]:
        """Concepts annotated as present, in annotation order."""
        return tuple(f.concept for f in self.findings if f.present)

    def absent(self) -> tuple[str, ...]:
        """Concepts annotated as looked for and absent."""
        return tuple(f.concept for f in self.findings if not f.present)


CASES_FILE = "cases.jsonl"


def parse_case(row: dict[str, Any], where: str) -> Case:
    """The case of a row. Raises UserError when it is none; ``where`` is what the message names."""
    try:
        return Case.model_validate(row)
    except ValueError as error:
        raise UserError(f"not a case ({' '.join(str(error).split())[:160]})", where, "Rebuild it.") from None


def read_cases(folder: Path) -> Iterator[Case]:
    """Yields the cases of a finished cases stage, whose table is JSON lines or Parquet.

    Raises:
        UserError: the file is missing or a row is no Case.
    """
    for number, row in enumerate(read_rows(folder, "cases"), 1):
        yield parse_case(row, f"{folder / CASES_FILE}:{number}")


def refuse_evaluation_only(case: Case, where: str) -> Case:
    """The case, for a builder of training data. Raises UserError when it is for evaluation only."""
    if case.evaluation_only:
        raise UserError(
            f"source {case.source} is for evaluation only",
            f"{where}, case {case.case_id}",
            "Use its cases with eval/, and another source for training.",
        )
    return case


def training_cases(folder: Path) -> Iterator[Case]:
    """Like :func:`read_cases`, for a builder of training data.

    Raises:
        UserError: also when a case is for evaluation only.
    """
    for case in read_cases(folder):
        yield refuse_evaluation_only(case, str(folder / CASES_FILE))
