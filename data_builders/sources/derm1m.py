"""Derm1M: 403,563 images with captions from the web, films, textbooks and public data sets (Yan et al. 2025).

Evaluation only: its public part repeats SCIN, Fitzpatrick17k and others, its labels were read from captions by a model,
and no id says whose image it is. Every case is marked so and builders of training data refuse it.
Layout: ``Derm1M_v2_pretrain.csv`` and ``Derm1M_v2_validation.csv``, columns
``filename,caption,truncated_caption,source,
source_type,disease_label,hierarchical_disease_label,skin_concept,body_location,symptoms,age,gender``; ``filename`` is a
path below the folder. Missing values are sentences ("No age information", "no definitive diagnosis"). Label:
``disease_label``; the ontology's 370 names are not public without a gate, so the map holds what is known to need one
and others are looked up in the taxonomy; aliases stand after commas, and any of them may be what it knows. Ids: none.
Licence: CC BY-NC 4.0. Facts: the paper (second-hand), a published sample of the table.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Pictures, Sheet, each, open_diagnoses, sheet_case
from data_builders.sources.table import Row, find_tables, read_columns
from skinr1.taxonomy import LabelMap, Taxonomy

SHEET = Sheet(
    source="derm1m",
    title="Derm1M",
    licence="CC-BY-NC-4.0",
    attribution="Derm1M, Yan et al. 2025, arXiv:2503.14911",
    tables=("Derm1M_v2_*.csv",),
    required={"image": ("filename",), "label": ("disease_label",)},
    optional={"gender": ("gender",), "years": ("age",), "place": ("body_location",), "from": ("source",)},
)


def derm1m(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image, for evaluation only. Raises UserError for another layout."""
    labels, pictures = LabelMap.load(SHEET.source, taxonomy), Pictures(path)

    def extra(where: str, row: Row) -> Mapping[str, Any]:
        place = row.get("place", "").lower()
        gender = row.get("gender", "").lower()
        return {
            "case_id": row["image"],
            "diagnoses": _diagnoses(row["label"], labels, taxonomy),
            "age": int(row["years"]) if row.get("years", "").isdigit() and int(row["years"]) <= 120 else None,
            "sex": gender if gender in ("female", "male") else None,
            "site": None if not place or place.startswith("no ") else place,
            "attribution": f"{SHEET.attribution}, part {row.get('from') or 'unnamed'}",
            "evaluation_only": True,
            "split": "test",
        }

    sheet = replace(SHEET, modality=options.modality)
    for table in find_tables(path, SHEET.tables, SHEET.title):
        rows = read_columns(table, SHEET.title, SHEET.required, SHEET.optional)
        yield from each(rows, lambda where, row: sheet_case(sheet, where, row, pictures, labels, options, extra))


def _diagnoses(label: str, labels: LabelMap, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Nodes of the whole label, else of the first of its parts between commas that the tree names."""
    plain = label.lower()
    parts = [part.strip() for part in plain.split(",")] if "," in plain else []
    known = next((part for part in parts if taxonomy.labelled(part)), None)
    if known is not None and plain not in labels.entries and not taxonomy.labelled(plain):
        return tuple(sorted(taxonomy.labelled(known)))
    return open_diagnoses(labels, taxonomy, plain)
