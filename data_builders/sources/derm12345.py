"""DERM12345: 12,345 dermoscopic images of 1,627 patients in 40 subclasses (Yilmaz et al. 2024).

Layouts: the Dataverse copy, ``derm12345_metadata_train.csv`` and ``derm12345_metadata_test.csv`` with ``image_id`` and
``label`` (one of 40 codes) among other columns, images in ``derm12345_train_part_1/<label>/``, ``…part_2``,
``derm12345_test``; or an export of the ISIC archive's collection (see isic.py).
Ids: a patient and a lesion column where the release has one; the Dataverse tables are not known to, so near-duplicate
hashing must find what belongs together. Official split: the two tables. Licence: CC BY 4.0.
Facts: the paper (codes; second-hand), and the columns as published code reads them. The published tree puts the
cutaneous horn and mammary Paget disease under malignant keratinocytic growths; the label map follows our tree instead.
"""

from dataclasses import replace
from pathlib import Path

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.isic import SHEET as EXPORT
from data_builders.sources.isic import export_rows
from data_builders.sources.table import find_tables, has_columns
from skinr1.taxonomy import LabelMap, Taxonomy

SHEET = Sheet(
    source="derm12345",
    title="DERM12345",
    licence="CC-BY-4.0",
    attribution="DERM12345, Yilmaz et al. 2024, doi:10.1038/s41597-024-04104-3",
    tables=("derm12345_metadata_*.csv", "*metadata*.csv"),
    required={"image": ("image_id",), "label": ("label",)},
    optional={
        "patient": ("patient_id", "patient"),
        "lesion": ("lesion_id", "lesion"),
        "age": ("age", "age_approx"),
        "sex": ("sex", "gender"),
        "site": ("anatomic_site", "anatom_site_general", "localization"),
    },
    modality="dermoscopic",
)


def derm12345(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    table = find_tables(path, SHEET.tables, SHEET.title)[0]
    if has_columns(table, "isic_id"):
        export = replace(SHEET, required=EXPORT.required, optional=EXPORT.optional)
        return export_rows(export, path, table, LabelMap.load("isic", taxonomy), options)
    return sheet_rows(SHEET, path, taxonomy, options)
