"""From what stands in the form to a request; everything a browser sends is checked by the request's own schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from skinr1.errors import UserError
from skinr1.serving.envelope import MAX_IMAGES, ImageInput, ReportRequest

FIELDS: Final = (
    "images",
    "modality",
    "age",
    "sex",
    "site",
    "duration",
    "symptoms",
    "history",
    "model",
    "samples",
    "views",
    "seed",
)


def read_form(values: Mapping[str, Any]) -> ReportRequest:
    """The request.

    Args:
        values: by :data:`FIELDS`; ``images`` is a list of (file, caption), ``symptoms`` a text with commas.

    Raises:
        UserError: no image or too many, or a field is refused; the message never repeats what was entered.
    """
    files = [Path(file) for file, _ in values["images"] or ()]
    if not 1 <= len(files) <= MAX_IMAGES:
        raise UserError(f"{len(files)} images", "images", f"Please give 1 to {MAX_IMAGES} of one skin change.")
    modality = values["modality"] or None
    told = {
        name: values[name] for name in ("age", "sex", "site", "duration", "model") if values[name] not in (None, "")
    }
    try:
        return ReportRequest(
            images=tuple(ImageInput(data=file.read_bytes(), modality=modality) for file in files),
            symptoms=tuple(part.strip() for part in (values["symptoms"] or "").split(",") if part.strip()),
            history=values["history"] or "",
            samples=int(values["samples"]),
            views=bool(values["views"]),
            seed=int(values["seed"] or 0),
            **told,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = str(first["loc"][0]) if first["loc"] else "form"
        raise UserError(first["msg"].removeprefix("Value error, "), where, "Please correct the field.") from None
