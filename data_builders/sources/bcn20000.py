"""BCN20000: 18,946 dermoscopic images of 5,583 lesions from Barcelona (Hernández-Pérez et al. 2024).

Layouts: an export of the ISIC archive's collection (see isic.py), or the paper's own ``bcn_20k_train.csv`` (and
``bcn_20k_test.csv``), columns
``bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split`` with the codes NV, MEL, BCC,
BKL, AK, SCC, DF, VASC, and images ``BCN_*.jpg``. The test part has no diagnosis: rejected. Ids: ``lesion_id``. Licence:
CC BY-NC 4.0. Overlap: contained in ISIC 2019 and the archive, by ``lesion_id`` (BCN_*), and by image id in the
archive's export. Facts: the paper (second-hand), columns as published code reads them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.isic import SHEET as EXPORT
from data_builders.sources.isic import export_rows
from data_builders.sources.table import Row, find_tables, has_columns, known
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SHEET = Sheet(
    source="bcn20000",
    title="BCN20000",
    licence="CC-BY-NC-4.0",
    attribution="BCN20000, Hernández-Pérez et al. 2024, doi:10.1038/s41597-024-03387-w",
    tables=("bcn_20k_*.csv", "metadata.csv", "*metadata*.csv"),
    required={"image": ("bcn_filename", "isic_id"), "label": ("diagnosis",), "lesion": ("lesion_id",)},
    optional={"age": ("age_approx",), "sex": ("sex",), "site": ("anatom_site_general",)},
    modality="dermoscopic",
)


def bcn20000(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    (table, *_) = find_tables(path, SHEET.tables, SHEET.title)
    if has_columns(table, "isic_id"):
        export = replace(SHEET, required=EXPORT.required, optional=EXPORT.optional)
        return export_rows(export, path, table, LabelMap.load("isic", taxonomy), options)
    return sheet_rows(SHEET, path, taxonomy, options, _extra)


def _extra(where: str, row: Row) -> Mapping[str, Any]:
    if known(row["label"]) is None:
        raise UserError("no diagnosis", where, "Nothing to do: the test part is published without.")
    return {}
