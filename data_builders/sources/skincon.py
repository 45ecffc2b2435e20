"""SkinCon: 48 clinical concepts on 3,690 images of Fitzpatrick17k and 656 of DDI (Daneshjou et al. 2022).

Layout: ``annotations_fitzpatrick17k.csv`` and/or ``annotations_ddi.csv``, columns ``ImageID``, 48 of 0/1, and ``Do not
consider this image`` (460 and 20 rows, rejected); beside them, or two levels below, the base data set's own table
(``fitzpatrick17k.csv``, ``ddi_metadata.csv``) and images. ``ImageID`` is the base's file name.
Case: the base's case (label, tone, licence, official split) with the concepts as findings: 1 present, 0 looked for and
absent. Source is ``skincon``, the case id is the base's, so the overlap shows. Licence: the base's.
Facts: the paper and published code, second-hand; copies spell and space the 48 names
differently, which does not matter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from data_builders.sources import Options, SourceRows, ddi, fitzpatrick17k
from data_builders.sources.images import Pictures, each, sheet_case
from data_builders.sources.table import Row, boolean, find_tables, read_columns, wrong_layout
from skinr1.cases import Finding
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE, TITLE = "skincon", "SkinCon"
_EXCLUDED = "Do not consider this image"
_BASES: Mapping[str, ModuleType] = {"annotations_fitzpatrick17k.csv": fitzpatrick17k, "annotations_ddi.csv": ddi}
# SkinCon's name -> ours. Erythema is a red colour to us; erosion and ulcer are two things to SkinCon.
CONCEPTS: Mapping[str, str] = {
    "Vesicle": "vesicle", "Papule": "papule", "Macule": "macule", "Plaque": "plaque", "Abscess": "abscess",
    "Pustule": "pustule", "Bulla": "bulla", "Patch": "patch", "Nodule": "nodule", "Ulcer": "ulcer", "Crust": "crust",
    "Erosion": "eroded surface", "Excoriation": "excoriation", "Atrophy": "atrophy", "Exudate": "exudate",
    "Purpura/Petechiae": "purpura", "Fissure": "fissure", "Induration": "induration", "Xerosis": "xerosis",
    "Telangiectasia": "telangiectasia", "Scale": "scale", "Scar": "scarring", "Friable": "friable surface",
    "Sclerosis": "sclerosis", "Pedunculated": "pedunculated lesion", "Exophytic/Fungating": "exophytic growth",
    "Warty/Papillomatous": "warty surface", "Dome-shaped": "dome shape", "Flat topped": "flat top",
    "Brown(Hyperpigmentation)": "brown colour", "White(Hypopigmentation)": "white colour",
    "Translucent": "pearly surface", "Purple": "violet colour", "Yellow": "yellow colour", "Black": "black colour",
    "Erythema": "red colour", "Comedo": "comedo", "Lichenification": "lichenification", "Blue": "blue colour",
    "Umbilicated": "central dell", "Poikiloderma": "poikiloderma", "Salmon": "salmon colour", "Wheal": "wheal",
    "Acuminate": "acuminate shape", "Burrow": "burrow", "Gray": "gray colour", "Pigmented": "pigmented lesion",
    "Cyst": "cystic lesion",
}  # fmt: skip


def plain(name: str) -> str:
    """Comparison form of a concept's name: letters only."""
    return re.sub(r"[^a-z]", "", name.lower())


BY_PLAIN_NAME: Mapping[str, str] = {plain(name): concept for name, concept in CONCEPTS.items()}


def skincon(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an annotated image, of whichever base data sets are there.

    Raises:
        UserError: no annotation table, a concept is missing from it, or the base data set's table is missing.
    """
    tables = _annotations(path)
    return chain.from_iterable(_joined(table, path, taxonomy, options) for table in tables)


def _annotations(path: Path) -> list[Path]:
    found = [file for depth in ("", "*/", "*/*/") for name in _BASES for file in sorted(path.glob(depth + name))]
    if not found:
        raise wrong_layout(TITLE, path, " or ".join(_BASES))
    return found


def _joined(table: Path, path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Rows of one annotation table joined to its base; the base's table, without images, is held in memory."""
    module = _BASES[table.name]
    sheet = replace(module.SHEET, source=SOURCE)
    labels, pictures = LabelMap.load(module.SHEET.source, taxonomy), Pictures(path)
    base: dict[str, Row] = {}
    for own in find_tables(path, (module.SHEET.tables[0],), f"{TITLE} (base {module.SHEET.title})"):
        for _, row in read_columns(own, module.SHEET.title, module.SHEET.required, module.SHEET.optional):
            base[_stem(row["image"])] = row
    rows = read_columns(table, TITLE, {"id": ("ImageID",), **_columns(table)}, {"excluded": (_EXCLUDED,)})

    def joined() -> Iterator[tuple[str, Row]]:
        for where, row in rows:
            yield where, {**base.get(_stem(row["id"]), {"image": row["id"], "label": ""}), **row}

    def extra(where: str, row: Row) -> Mapping[str, Any]:
        if boolean(row.get("excluded", ""), where):
            raise UserError("marked as not to be considered", where, "Nothing to do: it is listed.")
        if not row["label"]:
            raise UserError(f"image is not in {module.SHEET.title}'s table", where, "Add its row there.")
        return {**module.extra(where, row), "findings": tuple(_findings(row, where))}

    return each(joined(), lambda where, row: sheet_case(sheet, where, row, pictures, labels, options, extra))


def _columns(table: Path) -> dict[str, tuple[str, ...]]:
    """Our concept -> the spelling of its column in this copy."""
    with open(table, encoding="utf-8-sig") as handle:
        header = [name.strip().strip('"') for name in handle.readline().rstrip("\n").split(",")]
    by_plain = {plain(name): name for name in header}
    return {concept: (by_plain.get(plain(name), name),) for name, concept in CONCEPTS.items()}


def _findings(row: Row, where: str) -> Iterator[Finding]:
    for concept in CONCEPTS.values():
        said = boolean(row[concept], where)
        if said is not None:
            yield Finding(concept=concept, present=said)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
