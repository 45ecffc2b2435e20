"""Case: the only record of a patient. Every source yields Cases, lazily, one at a time."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from skinr1.errors import UserError
from skinr1.stage import read_jsonl

Split = Literal["train", "validation", "test"]
Modality = Literal["clinical", "dermoscopic"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SkinTone(_Frozen):
    """A tone is meaningless without its scale and who said it; an unknown tone is no SkinTone at all."""

    scale: Literal["fitzpatrick", "monk"]
    value: int = Field(ge=1, le=10)
    provenance: Literal["clinician", "self_report", "annotator", "estimated", "rendered"]


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
        diagnoses: sorted node ids the label denotes; empty means unlabelled.
        findings: annotations of this case only.
        split: set by the grouped splitter, by patient; None until then.
    """

    case_id: str
    source: str
    images: tuple[str, ...] = Field(min_length=1)
    role: Role
    label: str | None = None
    diagnoses: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    patient_id: str | None = None
    lesion_id: str | None = None
    skin_tone: SkinTone | None = None
    age: int | None = Field(default=None, ge=0, le=120)
    sex: Literal["female", "male"] | None = None
    site: str | None = None
    history: tuple[str, ...] = ()
    modality: Modality | None = None
    licence: str
    attribution: str = ""
    split: Split | None = None

    @property
    def group(self) -> str:
        """The unit that must not straddle a split: patient, else lesion, else the case itself."""
        return self.patient_id or self.lesion_id or self.case_id

    def present(self) -> tuple[str, ...]:
        """Concepts annotated as present, in annotation order."""
        return tuple(f.concept for f in self.findings if f.present)

    def absent(self) -> tuple[str, ...]:
        """Concepts annotated as looked for and absent."""
        return tuple(f.concept for f in self.findings if not f.present)


CASES_FILE = "cases.jsonl"


def read_cases(folder: Path) -> Iterator[Case]:
    """Yields the cases of a finished cases stage.

    Raises:
        UserError: the file is missing or a row is no Case.
    """
    path = folder / CASES_FILE
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            yield Case.model_validate(row)
        except ValueError as error:
            raise UserError(
                f"not a case ({' '.join(str(error).split())[:160]})", f"{path}:{number}", "Rebuild it."
            ) from None
