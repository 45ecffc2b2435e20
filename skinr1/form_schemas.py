"""What a server is told to force for a shorter answer form: the schema of each, and the grammar made of it.

They admit what :mod:`skinr1.answer_forms` reads.
"""

from collections.abc import Mapping
from typing import Any

from skinr1.answer_forms import MAX_SIGNS, RANKS, Form, Options
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.grammar import json_ebnf
from skinr1.seven_point import ABSENT, CRITERIA
from skinr1.taxonomy import Bucket, Taxonomy


def form_schema(form: Form, taxonomy: Taxonomy, options: Options = ()) -> dict[str, Any]:
    """JSON Schema of an answer in a form, bounded everywhere.

    Raises:
        UserError: a letter form, which is prose, or the report, whose schema is its own.
    """
    if form in ("choice", "descent"):
        return _object({"choice": {"enum": list(range(1, len(options) + 1))}})
    if form == "condition":
        return _object({"condition": {"enum": [bucket.value for bucket in Bucket]}})
    if form == "differential":
        probability = {"enum": [step / 100 for step in range(101)]}
        entry = _object({"diagnosis": {"enum": list(taxonomy.nodes)}, "probability": probability})
        return _object({"differential": {"type": "array", "items": entry, "minItems": 1, "maxItems": RANKS}})
    if form == "signs":
        return _object({"signs": {"type": "array", "items": {"enum": list(concepts())}, "maxItems": MAX_SIGNS}})
    if form == "checklist":
        return _object({criterion: {"enum": [ABSENT, *values]} for criterion, values in CRITERIA.items()})
    raise UserError("answer form has no schema of its own", form, "Leave out --structured.")


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def form_tag(form: Form, taxonomy: Taxonomy, options: Options = ()) -> dict[str, Any]:
    """vLLM ``response_format`` that forces an answer of the form. Raises UserError as :func:`form_schema`."""
    grammar = json_ebnf(form_schema(form, taxonomy, options))
    return {"type": "structural_tag", "format": {"type": "grammar", "grammar": grammar}}
