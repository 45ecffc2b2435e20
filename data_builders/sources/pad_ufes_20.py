"""PAD-UFES-20: 2,298 smartphone photographs of 1,373 patients, six diagnoses, with patient data (Pacheco et al. 2020).

Layout: ``metadata.csv`` with 26 columns, among them ``patient_id,lesion_id,age,gender,fitspatrick`` (sic) ``,region,
diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id``, and PNGs in ``imgs_part_1`` … ``3`` or whatever folder.
Booleans are True, False or UNK. Findings come from the annotations alone: elevation as raised or flat lesion, and the
patient's complaints; an unknown one gives none. Ids: ``patient_id``, ``lesion_id``. Tone: Fitzpatrick, by clinicians.
Licence: CC BY 4.0. Facts: the paper and published code, second-hand; read in full: 319 rows of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Sheet, sheet_rows
from data_builders.sources.table import Row, boolean
from skinr1.cases import Finding
from skinr1.taxonomy import Taxonomy

_COMPLAINTS = {"itch": "itch", "hurt": "pain", "grew": "growth", "changed": "recent change", "bleed": "bleeding"}
SHEET = Sheet(
    source="pad_ufes_20",
    title="PAD-UFES-20",
    licence="CC-BY-4.0",
    attribution="PAD-UFES-20, Pacheco et al. 2020, doi:10.17632/zr7vgbcyr2.1",
    tables=("metadata.csv",),
    required={
        "image": ("img_id",),
        "patient": ("patient_id",),
        "lesion": ("lesion_id",),
        "label": ("diagnostic",),
    },
    optional={
        "age": ("age",),
        "sex": ("gender",),
        "site": ("region",),
        "tone": ("fitspatrick",),
        "elevation": ("elevation",),
        **{column: (column,) for column in _COMPLAINTS},
    },
    modality="clinical",
)


def pad_ufes_20(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    return sheet_rows(SHEET, path, taxonomy, options, _extra)


def _extra(where: str, row: Row) -> Mapping[str, Any]:
    complaints = {concept: boolean(row.get(column, ""), where) for column, concept in _COMPLAINTS.items()}
    return {
        "findings": tuple(_findings(boolean(row.get("elevation", ""), where), complaints)),
        "history": tuple(concept for concept, said in complaints.items() if said),
    }


def _findings(raised: bool | None, complaints: Mapping[str, bool | None]) -> Iterator[Finding]:
    if raised is not None:
        yield Finding(concept="raised lesion", present=raised)
        yield Finding(concept="flat lesion", present=not raised)
    for concept, said in complaints.items():
        if said is not None:
            yield Finding(concept=concept, present=said)
