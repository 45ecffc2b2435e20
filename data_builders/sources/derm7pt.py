"""Derm7pt: 1,011 cases, each a clinical and a dermoscopic image with the 7-point checklist (Kawahara et al. 2019).

Layout (``release_v0``): ``images/<folder>/*.jpg``; ``meta/meta.csv``, columns ``case_num,diagnosis,seven_point_score,
pigment_network,streaks,pigmentation,regression_structures,dots_and_globules,blue_whitish_veil,vascular_structures,
level_of_diagnostic_difficulty,elevation,location,sex,clinic,derm,case_id,notes[,management]``, where ``clinic`` and
``derm`` are image paths; ``meta/{train,valid,test}_indexes.csv`` with row numbers of meta.csv, from 0, in column
``indexes``. Label: 20 spellings of 15 diagnoses. Findings: the seven criteria, as :mod:`skinr1.seven_point` names them,
and elevation. Ids: ``case_num``; both images are one case. Licence: CC BY-NC-SA 4.0. Facts: the paper
and published code, second-hand.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from data_builders.sources import Options, SourceRows
from data_builders.sources.images import Pictures, each, finished
from data_builders.sources.table import Row, find_tables, known, read_columns, sex
from skinr1.cases import Case, Finding
from skinr1.errors import UserError
from skinr1.seven_point import ABSENT, CRITERIA
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE, TITLE, LICENCE = "derm7pt", "Derm7pt", "CC-BY-NC-SA-4.0"
ATTRIBUTION = "Derm7pt, Kawahara et al. 2019, doi:10.1109/JBHI.2018.2824327"
_REQUIRED = {name: (name,) for name in ("case_num", "diagnosis", "clinic", "derm", *CRITERIA)}
_OPTIONAL = {name: (name,) for name in ("elevation", "location", "sex")}
_SPLITS = {"train": "train_indexes.csv", "validation": "valid_indexes.csv", "test": "test_indexes.csv"}
_ELEVATION = {"flat": ("flat lesion",), "palpable": ("raised lesion",), "nodular": ("raised lesion", "nodule")}


def derm7pt(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case a row, with its two images. Raises UserError for another layout."""
    (table, *_) = find_tables(path, ("meta.csv",), TITLE)
    labels, pictures, splits = LabelMap.load(SOURCE, taxonomy), Pictures(path), _official(table.parent)
    rows = read_columns(table, TITLE, _REQUIRED, _OPTIONAL)
    numbered = ((where, {**row, "split": splits.get(number, "")}) for number, (where, row) in enumerate(rows))
    return each(numbered, lambda where, row: _case(where, row, pictures, labels, options))


def _official(meta: Path) -> dict[int, str]:
    """Row number -> split. Raises UserError when a number is none."""
    splits: dict[int, str] = {}
    for split, name in _SPLITS.items():
        if not (meta / name).is_file():
            continue
        for where, row in read_columns(meta / name, TITLE, {"indexes": ("indexes",)}, {}):
            if not row["indexes"].isdigit():
                raise UserError(f"not a row number: {row['indexes']!r}", where, "Correct the cell.")
            splits[int(row["indexes"])] = split
    return splits


def _case(where: str, row: Row, pictures: Pictures, labels: LabelMap, options: Options) -> Case:
    return finished(
        {
            "case_id": row["case_num"],
            "source": SOURCE,
            "images": tuple(_image(where, pictures, row[column]) for column in ("clinic", "derm")),
            "modalities": ("clinical", "dermoscopic"),
            "label": row["diagnosis"],
            "diagnoses": labels.diagnoses(row["diagnosis"].lower()),
            "findings": tuple(_findings(row, where)),
            "sex": sex(row.get("sex", ""), where),
            "site": known(row.get("location", "").lower()),
            "licence": LICENCE,
            "attribution": ATTRIBUTION,
            "split": row["split"] or None,
        },
        options,
    )


def _image(where: str, pictures: Pictures, name: str) -> str:
    """Paths in the table start below ``images``; file names repeat between its folders, so no search by name."""
    for folder in (pictures.root / "images", pictures.root / "release_v0" / "images", pictures.root):
        if name and (folder / name).is_file():
            return str(folder / name)
    raise UserError("image not found", f"{where} ({name or 'empty cell'})", "Add the file or remove its row.")


def _findings(row: Mapping[str, str], where: str) -> Iterator[Finding]:
    """Every value of every criterion: the one recorded is present, the others were looked for and are absent."""
    for criterion, values in CRITERIA.items():
        value = row[criterion].lower()
        if value != ABSENT and value not in values:
            known_values = ", ".join(values)
            raise UserError(f"no value of {criterion}: {value!r}", where, f"Use absent, {known_values}.")
        for name, (_, concept) in values.items():
            yield Finding(concept=concept, present=name == value)
    elevation = row.get("elevation", "").lower()
    for concept in _ELEVATION.get(elevation, ()):
        yield Finding(concept=concept)
    if elevation in _ELEVATION:
        yield Finding(concept="flat lesion" if elevation != "flat" else "raised lesion", present=False)
