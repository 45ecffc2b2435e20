"""ISIC challenges of 2018 (task 3), 2019 and 2020: dermoscopic images with one-hot tables (2018, 2019) or a list
(2020).

Layouts:
2018: ``ISIC2018_Task3_<Training|Validation|Test>_GroundTruth.csv``, columns ``image,MEL,NV,BCC,AKIEC,BKL,DF,VASC``;
lesions in ``ISIC2018_Task3_Training_LesionGroupings.csv`` (``image,lesion_id,diagnosis_confirm_type``).
2019: ``ISIC_2019_<Training|Test>_GroundTruth.csv``, ``image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK``; people in
``ISIC_2019_<…>_Metadata.csv`` (``image,age_approx,anatom_site_general,lesion_id,sex``).
2020: ``ISIC_2020_Training_GroundTruth*.csv`` or ``train.csv``, ``image_name,patient_id,sex,age_approx,
anatom_site_general_challenge,diagnosis,benign_malignant,target``, with ``lesion_id`` in version 2.
Images: ``<image>.jpg``, in 2019 partly ``<image>_downsampled.jpg``; the case id is the ISIC id without that ending.
Ids: ``lesion_id`` (2018, 2019), ``patient_id`` (2020). Licence: CC BY-NC 4.0.
Official split: where the tables of more than one part are there. Overlap: 2018 is HAM10000; 2019 holds HAM10000,
BCN20000 and MSK; all are in the ISIC archive under the same ids. Facts: the challenge pages,
second-hand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.table import Columns, Row, read_columns
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

_LICENCE = "CC-BY-NC-4.0"
_ABOUT = {"lesion": ("lesion_id",), "age": ("age_approx",), "sex": ("sex",), "site": ("anatom_site_general",)}
_2018 = Sheet(
    source="isic_2018",
    title="ISIC 2018 task 3",
    licence=_LICENCE,
    attribution="ISIC 2018 challenge, Codella et al. 2019, arXiv:1902.03368; HAM10000, Tschandl et al. 2018",
    tables=("ISIC2018_Task3_*GroundTruth.csv",),
    required={name: (name,) for name in ("image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")},
    modality="dermoscopic",
)
_2019 = Sheet(
    source="isic_2019",
    title="ISIC 2019",
    licence=_LICENCE,
    attribution="ISIC 2019 challenge; HAM10000, BCN20000, MSK",
    tables=("ISIC_2019_*GroundTruth.csv",),
    required={name: (name,) for name in ("image", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")},
    modality="dermoscopic",
)
_2020 = Sheet(
    source="isic_2020",
    title="ISIC 2020",
    licence=_LICENCE,
    attribution="ISIC 2020 challenge, Rotemberg et al. 2021, doi:10.34970/2020-ds01",
    tables=("ISIC_2020_Training_GroundTruth*.csv", "train.csv"),
    required={"image": ("image_name",), "label": ("diagnosis",), "patient": ("patient_id",)},
    optional={**_ABOUT, "site": ("anatom_site_general_challenge", "anatom_site_general")},
    modality="dermoscopic",
)


def isic_2018(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return _one_hot(_2018, path, "*LesionGroupings.csv", {"lesion": ("lesion_id",)}, taxonomy, options)


def isic_2019(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return _one_hot(_2019, path, "ISIC_2019_*Metadata.csv", _ABOUT, taxonomy, options)


def isic_2020(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return sheet_rows(_2020, path, taxonomy, options)


def _one_hot(
    sheet: Sheet, path: Path, pattern: str, columns: Columns, taxonomy: Taxonomy, options: Options
) -> SourceRows:
    """Cases of all parts; what the tables beside them say of an image is joined by its id, held in memory."""
    folder = path if path.is_dir() else path.parent
    beside: dict[str, Row] = {}
    for table in sorted({file for depth in ("", "*/", "*/*/") for file in folder.glob(depth + pattern)}):
        rows = read_columns(table, sheet.title, {"image": ("image",)}, columns)
        beside.update((row["image"], row) for _, row in rows)
    codes = [name for name in sheet.required if name != "image"]

    def extra(where: str, row: Row) -> Mapping[str, Any]:
        return {"case_id": row["image"].removesuffix("_downsampled"), "label": _hot(row, codes, where)}

    return sheet_rows(sheet, path, taxonomy, options, extra, beside)


def _hot(row: Row, codes: Sequence[str], where: str) -> str:
    """The one column that is 1. Raises UserError when none or several are."""
    hot = [code for code in codes if row[code] in ("1", "1.0")]
    if len(hot) != 1:
        raise UserError(f"{len(hot)} classes are 1", where, "Correct the row: one class must be 1.")
    return hot[0]
