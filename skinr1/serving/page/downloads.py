"""The report to take along, as links that hold it: no file is written on the server."""

import base64
from collections.abc import Mapping

from skinr1.knowledge.passages import Passage
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.formats import MEDIA_TYPES, write
from skinr1.taxonomy import Taxonomy

OFFERED = {
    "json": ("JSON", "json"),
    "html": ("HTML", "html"),
    "fhir": ("FHIR", "fhir.json"),
    "markdown": ("Markdown", "md"),
}


def links(envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage]) -> str:
    """Links in HTML. JSON has the model's reasoning, which may repeat the patient's words; the others have not."""
    found = []
    for form, (name, suffix) in OFFERED.items():
        data = base64.b64encode(write(envelope, form, taxonomy, passages).encode()).decode("ascii")
        kind = MEDIA_TYPES[form].replace(" ", "")
        found.append(f'<a download="skin-report.{suffix}" href="data:{kind};base64,{data}">{name}</a>')
    return f'<nav class="skinr1-downloads" aria-label="Downloads">Download: {" ".join(found)}</nav>'
