"""Fitzpatrick17k: 16,577 clinical images of 114 conditions from two atlases (Groh et al. 2021).

Layout: ``fitzpatrick17k.csv``, columns ``md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,
three_partition_label,qc,url,url_alphanum``; images are fetched by the user from ``url`` and saved as ``<md5hash>.jpg``.
Label: 114, with synonyms among them (acne / acne vulgaris) that map to one node. A row that a dermatologist found
wrongly labelled (``qc`` 3) is rejected. Tone: Fitzpatrick I-VI by annotators, -1 unknown.
Ids: none; many near-duplicates, so grouping must hash the images. Licence: CC BY-NC-SA 3.0, images of the atlases.
Overlap: SkinCon (same ids), SkinCAP, parts of Derm1M. Facts: the paper (second-hand), the authors' README.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.table import Row
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

SHEET = Sheet(
    source="fitzpatrick17k",
    title="Fitzpatrick17k",
    licence="CC-BY-NC-SA-3.0",
    attribution="Fitzpatrick17k, Groh et al. 2021, arXiv:2104.09957; Atlas Dermatologico, DermaAmin",
    tables=("fitzpatrick17k.csv", "fitzpatrick17k*.csv"),
    required={"image": ("md5hash",), "label": ("label",), "tone": ("fitzpatrick_scale", "fitzpatrick")},
    optional={"qc": ("qc",)},
    modality="clinical",
    tone_provenance="annotator",
)


def fitzpatrick17k(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return sheet_rows(SHEET, path, taxonomy, options, extra)


def extra(where: str, row: Row) -> Mapping[str, Any]:
    """Raises UserError for a row known to be wrongly labelled."""
    if row.get("qc", "").startswith("3"):
        raise UserError("wrongly labelled, says its qc", where, "Nothing to do: it is listed.")
    return {}
