"""Columns of the tables that may be Parquet, written down so that they do not depend on the rows at hand."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

_PAIRS = "differential"  # (node, weight) in JSON, which Arrow has no list for


def schema_of(kind: str) -> "pyarrow.Schema":
    """The columns of ``cases``, ``trajectories`` or ``sentences``."""
    import pyarrow as pa

    text, texts, whole = pa.string(), pa.list_(pa.string()), pa.int64()
    tone = pa.struct({"scale": text, "value": whole, "provenance": text})
    messages = pa.list_(pa.struct({"role": text, "content": pa.list_(pa.struct({"type": text, "text": text}))}))
    columns = {
        "cases": {
            **dict.fromkeys(("case_id", "source", "role", "label", "patient_id", "lesion_id"), text),
            **dict.fromkeys(("sex", "site", "modality", "licence", "attribution", "split"), text),
            **dict.fromkeys(("images", "diagnoses", "history", "modalities"), texts),
            _PAIRS: pa.list_(pa.struct({"node": text, "weight": pa.float64()})),
            "findings": pa.list_(pa.struct({"concept": text, "present": pa.bool_()})),
            "skin_tone": tone,
            "other_tones": pa.list_(tone),
            "age": whole,
            "evaluation_only": pa.bool_(),
        },
        "trajectories": {
            "case_id": text,
            "kind": text,
            "images": texts,
            "prompt": messages,
            "completion": messages,
            "provenance": text,
        },
        "sentences": {
            **dict.fromkeys(("case_id", "kind", "split"), text),
            "sentences": pa.list_(pa.struct({"start": whole, "end": whole, "type": text, "passages": texts})),
        },
    }
    return pa.schema(columns[kind])


def to_arrow(row: Mapping[str, Any], schema: "pyarrow.Schema") -> dict[str, Any]:
    """The row as the schema has it. Raises ValueError for a column that it has not, rather than drop it."""
    if more := set(row) - set(schema.names):
        raise ValueError(f"columns without a place in the Parquet schema: {', '.join(sorted(more))}")
    if _PAIRS not in row:
        return dict(row)
    return {**row, _PAIRS: [{"node": node, "weight": weight} for node, weight in row[_PAIRS]]}


def from_arrow(row: dict[str, Any]) -> dict[str, Any]:
    """What :func:`to_arrow` was given. A chat part keeps no empty ``text``: an image placeholder has none."""
    if _PAIRS in row:
        row[_PAIRS] = [[pair["node"], pair["weight"]] for pair in row[_PAIRS]]
    for column in ("prompt", "completion"):
        for message in row.get(column, ()):
            message["content"] = [{k: v for k, v in part.items() if v is not None} for part in message["content"]]
    return row
