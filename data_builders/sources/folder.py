"""One's own images: a folder whose sub-folders are labels, or a CSV."""

import difflib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from data_builders.sources import Options, Rejection, SourceRows, chosen
from data_builders.sources.images import SUFFIXES
from data_builders.sources.table import fitzpatrick, known, read_rows, sex, whole
from skinr1.cases import Case, Finding, Role
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE = "folder"
_REQUIRED = ("image", "label")
_OPTIONAL = ("patient_id", "lesion_id", "age", "sex", "site", "modality", "fitzpatrick", "findings")

Resolve = Callable[[str], tuple[str, ...]]


def own_images(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image.

    Args:
        path: a folder with one sub-folder a label, or a CSV with columns image and label (image paths relative to the
            CSV) and, if wanted, patient_id, lesion_id, age, sex, site, modality, fitzpatrick, findings. Findings are
            separated by ``;``, an absent one is written ``no scale``. A row without label but with findings becomes
            a caption case.
        options: ``label_map``: without one a label is a name or path of the taxonomy.

    Raises:
        UserError: nothing at ``path``, a needed column is missing, or the label map is faulty.
    """
    resolve = _resolver(taxonomy, options.label_map)
    if path.is_dir():
        yield from _from_folder(path, resolve, options)
    elif path.is_file():
        yield from _from_table(path, resolve, options)
    else:
        raise UserError("no such folder or CSV", str(path), "Correct the path.")


def _resolver(taxonomy: Taxonomy, label_map: str | None) -> Resolve:
    if label_map is None:
        return lambda label: tuple(sorted(taxonomy.resolve(label)))
    labels = LabelMap.load(label_map, taxonomy)
    return labels.diagnoses


def _from_folder(path: Path, resolve: Resolve, options: Options) -> SourceRows:
    files = sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())
    if not files:
        raise UserError("folder holds no file", str(path), "Put images into one sub-folder a label.")
    for file in files:
        name = file.relative_to(path)
        if len(name.parts) < 2:
            yield Rejection(str(name), "lies in no label's sub-folder")
        elif file.suffix.lower() not in SUFFIXES:
            yield Rejection(str(name), f"not an image by its name; known are {' '.join(sorted(SUFFIXES))}")
        else:
            try:
                yield _case({"label": name.parts[0]}, str(name), name.as_posix(), file, resolve, options)
            except UserError as error:
                yield Rejection(str(name), str(error))


def _from_table(path: Path, resolve: Resolve, options: Options) -> SourceRows:
    for line, row in read_rows(path, _REQUIRED, _OPTIONAL):
        where = f"{path.name}:{line}"
        try:
            if not row["image"]:
                raise UserError("no image named", where, "Fill the cell or remove the row.")
            yield _case(row, where, row["image"], path.parent / row["image"], resolve, options)
        except UserError as error:
            yield Rejection(where, str(error))


def _case(row: Mapping[str, str], where: str, case_id: str, image: Path, resolve: Resolve, options: Options) -> Case:
    label, patient = known(row.get("label", "")), known(row.get("patient_id", ""))
    findings = _findings(row.get("findings", ""), where)
    if label is None and not findings:
        raise UserError("neither label nor findings", where, "Fill one of the cells or remove the row.")
    modality = known(row.get("modality", ""))
    if modality not in (None, "clinical", "dermoscopic"):
        raise UserError(f"modality is not clinical or dermoscopic: {modality!r}", where, "Correct the cell.")
    dense = bool(findings) and chosen(options.seed, patient or case_id, options.dense_share)
    role = Role.CAPTION if label is None else Role.DENSE if dense else Role.SPARSE
    return Case.model_validate(
        {
            "case_id": case_id,
            "source": SOURCE,
            "images": (str(image),),
            "role": role,
            "label": label,
            "diagnoses": resolve(label) if label else (),
            "findings": () if role is Role.SPARSE else findings,
            "patient_id": patient,
            "lesion_id": known(row.get("lesion_id", "")),
            "skin_tone": fitzpatrick(row.get("fitzpatrick", ""), where, "annotator"),
            "age": whole(row.get("age", ""), where, 0, 120),
            "sex": sex(row.get("sex", ""), where),
            "site": known(row.get("site", "").lower()),
            "modality": modality,
            "licence": options.licence,
        }
    )


@lru_cache(maxsize=1)
def _vocabulary() -> dict[str, str]:
    return {text.lower(): c.name for c in concepts().values() for text in (c.name, *c.aliases)}


def _findings(text: str, where: str) -> tuple[Finding, ...]:
    """``scale; no ulcer`` -> present scale, absent ulcer. Raises UserError for a word outside the vocabulary."""
    found: dict[str, Finding] = {}
    for part in filter(None, (piece.strip().lower() for piece in text.split(";"))):
        absent = part.startswith("no ")
        word = part.removeprefix("no ").strip()
        if word not in _vocabulary():
            holding = [name for name in _vocabulary() if word in name.split()]
            near = holding[:3] or difflib.get_close_matches(word, _vocabulary(), n=3, cutoff=0.6)
            meant = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise UserError(f"unknown finding {word!r}", where, f"{meant}skinr1/concepts.yaml lists all names.")
        finding = Finding(concept=_vocabulary()[word], present=not absent)
        if found.setdefault(finding.concept, finding) != finding:
            raise UserError(f"finding {word!r} is both present and absent", where, "Correct the cell.")
    return tuple(found.values())
