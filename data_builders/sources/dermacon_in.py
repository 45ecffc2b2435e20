"""DermaCon-IN: 5,450 clinical images of 3,002 patients in South India, 245 labels (Madarkar et al. 2025).

Layout: ``METADATA/Skin_Metadata.csv``, columns ``Image_name,Subject_ID,Quality,Sex,Age,Gradability,Fitzpatrick,
Monk_skin_tone,Body_part,Descriptors,Main_class,Sub_class,Disease_label,Confidence`` (the main class is also spelt
``Main_class(Rook's_Classification)``); ``METADATA/train_split.csv`` and ``test_split.csv`` with the official split by
patient; images in ``DATASET`` and its sub-folders. ``Descriptors`` are SkinCon's concepts, separated by ``;``.
Label: ``Disease_label``. The 245 labels are not published as a list, so the map holds what is known to need one (among
them No Definite Diagnosis) and other labels are looked up in the taxonomy by name; what neither knows is rejected with
its name, never guessed. Images that are not gradable are rejected. An age band is no age and is left out.
Ids: ``Subject_ID``. Tone: Fitzpatrick ("FST 4"), and Monk ("MST 6") in ``other_tones``, by dermatologists.
Licence: CC BY-NC-SA 4.0. Facts: the paper (second-hand), the authors' Metadata_schema.md.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Pictures, Sheet, each, open_diagnoses, sheet_case
from data_builders.sources.skincon import BY_PLAIN_NAME, plain
from data_builders.sources.table import Row, find_tables, known, monk, read_columns
from skinr1.cases import Finding
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SHEET = Sheet(
    source="dermacon_in",
    title="DermaCon-IN",
    licence="CC-BY-NC-SA-4.0",
    attribution="DermaCon-IN, Madarkar et al. 2025, arXiv:2506.06099",
    tables=("Skin_Metadata.csv",),
    required={
        "image": ("Image_name",),
        "patient": ("Subject_ID",),
        "label": ("Disease_label",),
        "gradable": ("Gradability",),
        "descriptors": ("Descriptors",),
    },
    optional={
        "sex": ("Sex",),
        "tone": ("Fitzpatrick",),
        "monk": ("Monk_skin_tone",),
        "site": ("Body_part",),
    },
    modality="clinical",
)


def dermacon_in(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    (table, *_) = find_tables(path, SHEET.tables, SHEET.title)
    labels, pictures, splits = LabelMap.load(SHEET.source, taxonomy), Pictures(path), _official(table.parent)

    def extra(where: str, row: Row) -> Mapping[str, Any]:
        if row["gradable"].lower() == "no":
            raise UserError("image is not gradable", where, "Nothing to do: it is listed.")
        other = monk(row.get("monk", ""), where, "clinician")
        return {
            "diagnoses": open_diagnoses(labels, taxonomy, row["label"]),
            "findings": tuple(_findings(row["descriptors"], where)),
            "other_tones": (other,) if other else (),
            "split": splits.get(row["image"]),
        }

    rows = read_columns(table, SHEET.title, SHEET.required, SHEET.optional)
    return each(rows, lambda where, row: sheet_case(SHEET, where, row, pictures, labels, options, extra))


def _official(folder: Path) -> dict[str, str]:
    """Image -> split, from the two tables where they are there."""
    splits: dict[str, str] = {}
    for split in ("train", "test"):
        table = folder / f"{split}_split.csv"
        if table.is_file():
            rows = read_columns(table, SHEET.title, {"image": ("Image_name",)}, {})
            splits.update((row["image"], split) for _, row in rows)
    return splits


def _findings(text: str, where: str) -> Iterator[Finding]:
    """Only what is there: a descriptor that is not named was not necessarily looked for."""
    names = dict.fromkeys(part.strip() for part in text.split(";") if known(part.strip()))
    for name in names:
        if plain(name) not in BY_PLAIN_NAME:
            raise UserError(f"unknown descriptor {name!r}", where, "Use a concept of SkinCon.")
        yield Finding(concept=BY_PLAIN_NAME[plain(name)])
