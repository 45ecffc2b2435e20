"""What sources of public data sets share: finding image files, and one case for one row of one image."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from data_builders.sources import Options, Rejection, SourceRows, chosen
from data_builders.sources.table import Columns, Row, find_tables, fitzpatrick, known, read_columns, sex, whole
from skinr1.cases import Case, Finding, Modality, Role
from skinr1.errors import UserError
from skinr1.licences import identifier
from skinr1.taxonomy import LabelMap, Taxonomy

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".jp2")

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


class Pictures:
    """Image files below a folder, by path or by name. The folder is walked only when a path alone does not lead there.

    Args:
        path: the data set's folder, or a table in it.
    """

    def __init__(self, path: Path):
        self.root = path if path.is_dir() else path.parent

    def find(self, where: str, name: str) -> Path:
        """The file of a name; the suffix may be missing in the table, or be another one than on disk.

        Raises:
            UserError: the cell is empty, or no file has the name.
        """
        if not name:
            raise UserError("no image named", where, "Fill the cell or remove the row.")
        direct = self.root / name
        if direct.suffix.lower() in SUFFIXES and direct.is_file():
            return direct
        file = Path(name)
        stem = file.stem if file.suffix.lower() in SUFFIXES else file.name
        for candidate in (file.name.lower(), *(f"{stem.lower()}{suffix}" for suffix in SUFFIXES)):
            if candidate in self._by_name:
                return Path(self._by_name[candidate])
        raise UserError("image not found", f"{where} ({name})", "Add the file or remove its row.")

    @cached_property
    def _by_name(self) -> dict[str, str]:
        index: dict[str, str] = {}
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for file in sorted(files):
                if file.lower().endswith(SUFFIXES):
                    index.setdefault(file.lower(), os.path.join(folder, file))
        return index


@dataclass(frozen=True)
class Sheet:
    """A data set that is a table with a row an image, under our names of its columns.

    ``required`` holds image and label; ``optional`` any of patient, lesion, age, sex, site, tone, licence, attribution,
    split (the authors' own).

    Attributes:
        source: its name here, and its label map's.
        title: its name to people.
        tables: file name patterns of its table, the usual one first.
        tone_provenance: who gave the Fitzpatrick type in column tone.
    """

    source: str
    title: str
    licence: str
    attribution: str
    tables: tuple[str, ...]
    required: Columns
    optional: Columns = field(default_factory=dict)
    modality: Modality | None = None
    tone_provenance: str = "clinician"


Extra = Callable[[str, Row], Mapping[str, Any]]


def sheet_rows(
    sheet: Sheet,
    path: Path,
    taxonomy: Taxonomy,
    options: Options,
    extra: Extra = lambda where, row: {},
    beside: Mapping[str, Row] | None = None,
) -> SourceRows:
    """Yields one case a row of the data set's tables.

    Args:
        extra: further fields of a row's case; ``findings`` among them follow ``options.dense_share``.
        beside: image -> what another table says of it, joined to its row.

    Raises:
        UserError: the folder or table has not the data set's layout.
    """
    labels, pictures = LabelMap.load(sheet.source, taxonomy), Pictures(path)
    tables = find_tables(path, sheet.tables, sheet.title)
    for table in tables:
        # a table of one part puts its rows into that part, but only where there are others to split against
        part = {"split": _part(table)} if len(tables) > 1 else {}
        rows = (
            (where, {**part, **(beside or {}).get(row["image"], {}), **row})
            for where, row in read_columns(table, sheet.title, sheet.required, sheet.optional)
        )
        yield from each(rows, lambda where, row: sheet_case(sheet, where, row, pictures, labels, options, extra))


def _part(table: Path) -> str:
    """``derm12345_metadata_train.csv`` and ``ISIC_2019_Training_GroundTruth.csv`` are train."""
    words = table.stem.lower().replace("training", "train").split("_")
    return next((word for word in words if word in SPLITS), "")


def each(rows: Iterable[tuple[str, Row]], make: Callable[[str, Row], Case]) -> SourceRows:
    """Makes a case of every row, or a rejection with the reason why not."""
    for where, row in rows:
        try:
            yield make(where, row)
        except UserError as error:
            yield Rejection(where, str(error))


def sheet_case(
    sheet: Sheet, where: str, row: Row, pictures: Pictures, labels: LabelMap, options: Options, extra: Extra
) -> Case:
    """One row's case. Raises UserError when the row cannot be used."""
    get = row.get
    image = pictures.find(where, row["image"])
    fields: dict[str, Any] = {
        "case_id": Path(row["image"]).stem if row["image"].lower().endswith(SUFFIXES) else row["image"],
        "source": sheet.source,
        "images": (str(image),),
        "label": get("label", ""),
        "patient_id": known(get("patient", "")),
        "lesion_id": known(get("lesion", "")),
        "skin_tone": fitzpatrick(get("tone", ""), where, sheet.tone_provenance),
        "age": whole(get("age", ""), where, 0, 120),
        "sex": sex(get("sex", ""), where),
        "site": known(get("site", "").lower()),
        "modality": sheet.modality,
        "licence": identifier(row["licence"]) if get("licence") else sheet.licence,
        "attribution": get("attribution") or sheet.attribution,
        "split": SPLITS.get(get("split", "").lower()),
        **extra(where, row),
    }
    if "diagnoses" not in fields:
        fields["diagnoses"] = labels.diagnoses(fields["label"])
    return finished(fields, options)


def finished(fields: Mapping[str, Any], options: Options) -> Case:
    """The case of these fields, dense or sparse by its patient's draw; a sparse one loses its findings.

    The source's name goes before its case id, as data sets that are divided together must not share ids; ``split`` is
    the authors' own, where they published one.
    """
    findings: tuple[Finding, ...] = tuple(fields.get("findings", ()))
    group = fields.get("patient_id") or fields.get("lesion_id") or fields["case_id"]
    dense = bool(findings) and chosen(options.seed, group, options.dense_share)
    own = {"role": Role.DENSE if dense else Role.SPARSE, "findings": findings if dense else ()}
    return Case.model_validate({**fields, **own, "case_id": f"{fields['source']}.{fields['case_id']}"})


def open_diagnoses(labels: LabelMap, taxonomy: Taxonomy, label: str) -> tuple[str, ...]:
    """Nodes of a label from a vocabulary that is not published as a list: the map first, then the tree's own names.

    Raises:
        UserError: neither knows it, or the map gives the reason why it has no node.
    """
    return labels.diagnoses(label) if label in labels.entries else tuple(sorted(taxonomy.resolve(label)))
