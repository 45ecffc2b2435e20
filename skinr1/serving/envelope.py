"""What the gateway takes and gives: a request for a report, and the report with what was done to it by rule.

The model writes only the :class:`~skinr1.report.Report`. Everything around it in the envelope comes from code, so that
no image and no text can change it.
"""

import base64
import binascii
import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from skinr1.cases import Modality
from skinr1.report import PassageId, Report

MAX_IMAGES = 5
MAX_SAMPLES = 16
# What a tokenizer would read as the end of the patient's words and the start of somebody else's.
CONTROL_TOKEN = re.compile(r"<\s*\|.*?\|\s*>|</?\s*think\s*>", re.IGNORECASE | re.DOTALL)


def _plain(text: object) -> object:
    """One line of text, spaces folded. Raises ValueError for signs that only control a model or a terminal."""
    if not isinstance(text, str):
        return text
    line = " ".join(text.split())
    if CONTROL_TOKEN.search(line):
        raise ValueError("holds a control token of the model such as <|im_end|> or <think>; leave it out")
    if not line.isprintable():
        raise ValueError("holds control characters; leave them out")
    return line


def _bytes(data: object) -> object:
    """Bytes as they are, text as base64; an address or a path is neither."""
    if not isinstance(data, str):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64; give the image's bytes, neither an address nor a path") from None


ImageBytes = Annotated[
    bytes,
    BeforeValidator(_bytes),
    PlainSerializer(lambda data: base64.b64encode(data).decode("ascii"), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "The file's bytes in base64."}),
    Field(min_length=1),
]
Words = Annotated[str, BeforeValidator(_plain), Field(min_length=1, max_length=80)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageInput(_Strict):
    """One photograph: the file's bytes (JSON: base64), and how it was taken where that is known."""

    data: ImageBytes
    modality: Modality | None = None


class ReportRequest(BaseModel):
    """One case: 1 to 5 images of one patient, and what the patient told. Only the images are needed.

    ``samples`` above 1 asks for that many answers and their vote; ``views`` lets them see flipped, turned and cropped
    copies of the images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Annotated[tuple[ImageInput, ...], Field(min_length=1, max_length=MAX_IMAGES)]
    age: Annotated[int, Field(ge=0, le=120, description="Years.")] | None = None
    sex: Literal["female", "male"] | None = None
    site: Annotated[Words, Field(description="Where on the body.")] | None = None
    duration: Annotated[Words, Field(description="How long, as `3 weeks`.")] | None = None
    symptoms: Annotated[tuple[Words, ...], Field(max_length=12)] = ()
    history: Annotated[str, BeforeValidator(_plain), Field(max_length=2000, description="Free text.")] = ""
    model: Annotated[str, Field(min_length=1, max_length=200, description="Served name; default: the last.")] | None = (
        None
    )
    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    views: bool = False
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 17


class Limitation(_Strict):
    """A reason to trust the report less: what is wrong with an image (0-based) or with the case.

    ``code`` is for programs (``blurred``, ``too_dark``, ``little_skin`` …), ``text`` for people.
    """

    code: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    text: str
    image: int | None = None


class RedFlag(_Strict):
    """A node anywhere in the differential that must not be overlooked; set by rule."""

    diagnosis: str
    kind: Literal["malignant", "infectious"]
    probability: float
    text: str


class Agreement(_Strict):
    """How far several answers to one case agree.

    Attributes:
        samples: answers that were asked for and could be read.
        share: of the votes for the reported node or below it, 0 to 1.
        entropy: of the votes over nodes, in bits.
        voted: node -> votes.
        backed_off: the most voted node, where the report names an ancestor of it.
        abstained: too few votes anywhere; the report declines.
    """

    samples: int
    share: float
    entropy: float
    voted: dict[str, int]
    backed_off: str | None = None
    abstained: bool = False


class Stamps(_Strict):
    """What made the report, so that it can be made again.

    Attributes:
        model: served name.
        model_hash: of the weights, as the server's operator was started with; ``unknown`` for a server elsewhere.
        taxonomy: version and content hash, as ``2026.2 5ac584eeeebefc7e``.
        prompt_version: :data:`skinr1.prompts.PROMPT_VERSION`.
        schema_version: :data:`skinr1.report.SCHEMA_VERSION`.
    """

    model: str
    model_hash: str
    taxonomy: str
    prompt_version: str
    schema_version: str


class ReportEnvelope(_Strict):
    """A report, and what code found out about it.

    Attributes:
        report: as the model wrote it, or as votes and rules changed it. A refused case has a report that declines.
        refused: why no diagnosis is given (one line), None where the model was asked and answered.
        reasoning: the model's own; of several answers that of the one nearest to the vote; empty when refused.
        limitations: of the images and the case.
        red_flags: by rule; an empty list says that the rule found none, not that there is none.
        agreement: of several answers; None for a single one.
        citations_removed: cited ids that no passage bears.
    """

    report: Report
    refused: str | None = None
    reasoning: str = ""
    limitations: tuple[Limitation, ...] = ()
    red_flags: tuple[RedFlag, ...] = ()
    agreement: Agreement | None = None
    citations_removed: tuple[PassageId, ...] = ()
    stamps: Stamps
