"""One envelope in four forms: JSON, Markdown, a self-contained page, a FHIR R4 bundle.

None of them holds the request: no image, no free text. The model's reasoning may repeat the patient's words, so only
JSON has it, which is the envelope itself.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from skinr1.errors import UserError
from skinr1.knowledge.passages import Passage
from skinr1.serving.envelope import ReportEnvelope
from skinr1.taxonomy import Taxonomy

Format = Literal["json", "markdown", "html", "fhir"]
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "fhir": "application/fhir+json",
}


def write(
    envelope: ReportEnvelope, form: str, taxonomy: Taxonomy, passages: Mapping[str, Passage] | None = None
) -> str:
    """The envelope in a form of :data:`MEDIA_TYPES`.

    Args:
        passages: of the knowledge folder, by id; a cited one is quoted, one that is absent stays an id.

    Raises:
        UserError: no such form.
    """
    # each form is imported when asked for: FHIR's models alone take a second
    if form == "json":
        return envelope.model_dump_json()
    if form == "markdown":
        from skinr1.serving.formats.markdown import to_markdown

        return to_markdown(envelope, taxonomy, passages or {})
    if form == "html":
        from skinr1.serving.formats.html import to_html

        return to_html(envelope, taxonomy, passages or {})
    if form == "fhir":
        from skinr1.serving.formats.fhir import to_fhir

        return to_fhir(envelope, taxonomy)
    raise UserError("no such format", form, f"Use one of {', '.join(get_args(Format))}.")
