"""DDI, Diverse Dermatology Images: 656 clinical images of 78 biopsied diagnoses (Daneshjou et al. 2022).

Layout: ``ddi_metadata.csv``, columns ``[index],DDI_ID,DDI_file,skin_tone,malignant,disease``, and ``*.png`` beside it.
Tone: 12, 34 or 56, pairs of Fitzpatrick types by clinicians, kept as pairs (scale ``fitzpatrick_pair`` 1, 2, 3).
Ids: none, so it is a test set: every case has the official split test. Licence: Stanford's research agreement, no
commercial use, no redistribution. Overlap: SkinCon (same ids), SkinCAP. Facts: the paper, second-hand.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.table import Row, known
from skinr1.cases import SkinTone
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

SHEET = Sheet(
    source="ddi",
    title="DDI",
    licence="LicenseRef-Stanford-DDI",
    attribution="DDI, Daneshjou et al. 2022, doi:10.1126/sciadv.abq6147",
    tables=("ddi_metadata.csv",),
    required={"image": ("DDI_file",), "label": ("disease",), "pair": ("skin_tone",)},
    modality="clinical",
)
_PAIRS = {"12": 1, "34": 2, "56": 3}


def ddi(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return sheet_rows(SHEET, path, taxonomy, options, extra)


def extra(where: str, row: Row) -> Mapping[str, Any]:
    """Tone and split of a row. Raises UserError when the tone is no pair."""
    pair = row["pair"].removesuffix(".0")
    if known(pair) is None:
        return {"split": "test"}
    if pair not in _PAIRS:
        raise UserError(f"not a pair of Fitzpatrick types: {pair!r}", where, "Use 12, 34 or 56.")
    tone = SkinTone(scale="fitzpatrick_pair", value=_PAIRS[pair], provenance="clinician")
    return {"split": "test", "skin_tone": tone}
