"""HAM10000: 10,015 dermoscopic images of 7,470 lesions in seven classes (Tschandl et al. 2018).

Layout: ``HAM10000_images_part_1/*.jpg``, ``HAM10000_images_part_2/*.jpg`` and ``HAM10000_metadata.csv`` (the Dataverse
copy has no suffix), columns ``lesion_id,image_id,dx,dx_type,age,sex,localization[,dataset]``.
Ids: ``image_id`` is the ISIC archive's id; ``lesion_id`` groups; there is no patient id.
Licence: CC BY-NC 4.0. Overlap: contained in ISIC 2018, ISIC 2019 and the ISIC archive under the same image ids.
Facts: the paper, second-hand; counts nv 6705, mel 1113, bkl 1099, bcc 514, akiec 327, vasc 142, df 115.
"""

from pathlib import Path

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from skinr1.taxonomy import Taxonomy

SHEET = Sheet(
    source="ham10000",
    title="HAM10000",
    licence="CC-BY-NC-4.0",
    attribution="HAM10000, Tschandl et al. 2018, doi:10.7910/DVN/DBW86T",
    tables=("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab"),
    required={"image": ("image_id",), "lesion": ("lesion_id",), "label": ("dx",)},
    optional={"age": ("age",), "sex": ("sex",), "site": ("localization",)},
    modality="dermoscopic",
)


def ham10000(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return sheet_rows(SHEET, path, taxonomy, options)
