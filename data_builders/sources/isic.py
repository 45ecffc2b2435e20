"""ISIC archive exports: the web site's, the command line client's, and older ones.

Layout: ``metadata.csv`` and ``ISIC_*.jpg`` in whatever folder. Columns are a subset of ``isic_id, attribution,
copyright_license, age_approx, anatom_site_general, diagnosis_1..diagnosis_5, fitzpatrick_skin_type, image_type,
lesion_id, patient_id, sex``; an older or reduced export has one column ``diagnosis`` (../shared/data/isic_uda1 is one).
Label: the levels joined by ``:``, an ISIC-DX path as the package ``isic-metadata`` lists them (418), or the old word.
Ids: ``patient_id`` (IP_*), ``lesion_id`` (IL_*). Licence: per image, ``copyright_license``; without that column the one
given in the options. Overlap: HAM10000, BCN20000, ISIC 2018-2020, DERM12345 and OmniMedVQA's dermoscopy are in it.
Facts: the package `isic-metadata` and an export, read in full.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Pictures, Sheet, each, sheet_case
from data_builders.sources.table import Row, find_tables, known, read_columns
from skinr1.cases import Modality
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

LEVELS = tuple(f"diagnosis_{level}" for level in range(1, 6))
SHEET = Sheet(
    source="isic",
    title="an ISIC archive export",
    licence="unstated",
    attribution="ISIC archive, www.isic-archive.com",
    tables=("metadata.csv", "*metadata*.csv"),
    required={"image": ("isic_id",)},
    optional={
        "patient": ("patient_id",),
        "lesion": ("lesion_id",),
        "age": ("age_approx", "age"),
        "sex": ("sex",),
        "site": ("anatom_site_general",),
        "tone": ("fitzpatrick_skin_type",),
        "licence": ("copyright_license",),
        "attribution": ("attribution",),
        "image_type": ("image_type",),
    },
)


def isic(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image; a row without diagnosis, or of an image that is no photograph, is rejected.

    Raises:
        UserError: another layout.
    """
    sheet = replace(SHEET, licence=options.licence, modality=options.modality)
    (table, *_) = find_tables(path, sheet.tables, sheet.title)
    return export_rows(sheet, path, table, LabelMap.load("isic", taxonomy), options)


def export_rows(sheet: Sheet, path: Path, table: Path, labels: LabelMap, options: Options) -> SourceRows:
    """Cases of one table in the archive's columns, whatever collection it is."""
    pictures = Pictures(path)
    required = {**sheet.required, "label": (LEVELS[0], "diagnosis")}
    deeper = {level: (level,) for level in LEVELS[1:]}

    def extra(where: str, row: Row) -> Mapping[str, Any]:
        return _extra(sheet, where, row)

    rows = read_columns(table, sheet.title, required, {**sheet.optional, **deeper})
    return each(rows, lambda where, row: sheet_case(sheet, where, row, pictures, labels, options, extra))


def _extra(sheet: Sheet, where: str, row: Row) -> Mapping[str, Any]:
    levels = [text for text in (row["label"], *(row.get(level, "") for level in LEVELS[1:])) if known(text)]
    if not levels:
        raise UserError("no diagnosis", where, "Nothing to do: the archive has none for this image.")
    return {"label": ":".join(levels), "modality": _modality(row.get("image_type", ""), where) or sheet.modality}


def _modality(image_type: str, where: str) -> Modality | None:
    """``dermoscopic``, ``clinical: close-up``, ``TBP tile: overview``, ``RCM: macroscopic`` …"""
    kind = image_type.partition(":")[0].strip().lower()
    if kind in ("dermoscopic", "clinical"):
        return kind  # type: ignore[return-value]
    if kind == "tbp tile":
        return "clinical"
    if kind:
        raise UserError(f"image is no photograph ({image_type})", where, "Nothing to do: it is listed.")
    return None
