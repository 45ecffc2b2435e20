"""PAD-UFES-20: smartphone photographs of six diagnoses with patient data (Pacheco et al. 2020, CC-BY-4.0)."""

from collections.abc import Mapping
from pathlib import Path

from data_builders.sources import Rejection, SourceRows, chosen
from data_builders.sources.table import boolean, fitzpatrick, known, read_rows, sex, whole
from skinr1.cases import Case, Finding, Role
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

SOURCE = "pad_ufes_20"
LICENCE = "CC-BY-4.0"
ATTRIBUTION = "PAD-UFES-20, Pacheco et al. 2020, doi:10.17632/zr7vgbcyr2.1"

_REQUIRED = ("patient_id", "lesion_id", "diagnostic", "img_id")
_COMPLAINTS = {"itch": "itch", "hurt": "pain", "grew": "growth", "changed": "recent change", "bleed": "bleeding"}
_OPTIONAL = ("age", "gender", "region", "fitspatrick", "elevation", *_COMPLAINTS)


def pad_ufes_20(path: Path, taxonomy: Taxonomy, *, dense_share: float = 0.5, seed: int = 0) -> SourceRows:
    """Yields one case an image, from ``metadata.csv`` and the PNGs below ``path`` in whatever sub-folders.

    Findings come from the annotations alone: elevation as raised or flat lesion, and the patient's complaints. A
    complaint that is unknown gives no finding.

    Args:
        dense_share: share of the patients whose findings are kept (role dense, where there is any); the others are
            sparse: the label only.

    Raises:
        UserError: the table is missing or lacks a needed column.
    """
    labels = LabelMap.load(SOURCE, taxonomy)
    images = {file.name: file for file in sorted(path.rglob("*.png"))}
    table = path / "metadata.csv"
    for line, row in read_rows(table, _REQUIRED, _OPTIONAL):
        where = f"{table.name}:{line}"
        try:
            yield _case(row, where, images, labels, dense_share, seed)
        except UserError as error:
            yield Rejection(where, str(error))


def _case(
    row: Mapping[str, str], where: str, images: Mapping[str, Path], labels: LabelMap, dense_share: float, seed: int
) -> Case:
    name, patient = row["img_id"], known(row["patient_id"])
    if name not in images:
        raise UserError("image not found", f"{where} ({name or 'empty img_id'})", "Add the file or remove its row.")
    target = labels.resolve(row["diagnostic"])
    complaints = {concept: boolean(row.get(column, ""), where) for column, concept in _COMPLAINTS.items()}
    raised = boolean(row.get("elevation", ""), where)
    findings = [Finding(concept=concept, present=said) for concept, said in complaints.items() if said is not None]
    if raised is not None:
        findings.insert(0, Finding(concept="raised lesion", present=raised))
        findings.insert(1, Finding(concept="flat lesion", present=not raised))
    dense = bool(findings) and chosen(seed, patient or name, dense_share)
    region = known(row.get("region", ""))
    return Case.model_validate(
        {
            "case_id": Path(name).stem,
            "source": SOURCE,
            "images": (str(images[name]),),
            "role": Role.DENSE if dense else Role.SPARSE,
            "label": row["diagnostic"],
            "diagnoses": tuple(sorted(target.nodes)),
            "findings": tuple(findings) if dense else (),
            "patient_id": patient,
            "lesion_id": known(row["lesion_id"]),
            "skin_tone": fitzpatrick(row.get("fitspatrick", ""), where, "clinician"),
            "age": whole(row.get("age", ""), where, 0, 120),
            "sex": sex(row.get("gender", ""), where),
            "site": region.lower() if region else None,
            "history": tuple(concept for concept, said in complaints.items() if said),
            "modality": "clinical",
            "licence": LICENCE,
            "attribution": ATTRIBUTION,
        }
    )
