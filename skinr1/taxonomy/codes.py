"""Are a tree's codes known to those who issue them? The packages are optional: what is not checked is said."""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from skinr1.errors import UserError
from skinr1.taxonomy.node import SYSTEMS
from skinr1.taxonomy.tree import Taxonomy

Known = Callable[[str], bool]
_EXACT = ("isic", "doid")


def checkers(disease_ontology: Path | None = None) -> dict[str, Known]:
    """System -> "is this a code?", for the systems that can be checked here.

    ICD-10-CM by ``simple_icd_10_cm``, ISIC-DX by ``isic_metadata``'s enumeration, DOID by a JSON list of Disease
    Ontology terms (``[{"id": "DOID:8893", …}, …]``).

    Raises:
        UserError: ``disease_ontology`` is given and is no such file.
    """
    found: dict[str, Known] = {}
    if (icd := _icd10cm()) is not None:
        found["icd10cm"] = icd
    if (isic := _isic()) is not None:
        found["isic"] = isic
    if disease_ontology is not None:
        found["doid"] = _doid(disease_ontology)
    return found


def code_faults(taxonomy: Taxonomy, known: dict[str, Known]) -> Iterator[str]:
    """One line for each code its system does not know, and for each exact counterpart that two nodes claim."""
    for system in SYSTEMS:
        claims: dict[str, list[str]] = {}
        for node in taxonomy.nodes.values():
            for code in node.codes(system):
                claims.setdefault(code, []).append(node.id)
        is_known = known.get(system)
        for code, owners in claims.items():
            if is_known is not None and not is_known(code):
                yield f"{owners[0]}: {system} does not know the code {code!r}"
            if system in _EXACT and len(owners) > 1:
                yield f"{system} code {code!r} is claimed by {' and '.join(owners)}"


@lru_cache(maxsize=1)
def _icd10cm() -> Known | None:
    try:
        import simple_icd_10_cm  # here, because it reads 98,000 codes: three seconds
    except ImportError:
        return None
    is_known: Known = simple_icd_10_cm.is_valid_item
    return is_known


@lru_cache(maxsize=1)
def _isic() -> Known | None:
    try:
        from isic_metadata.diagnosis_hierarchical import DiagnosisEnum
    except ImportError:
        return None
    return {diagnosis.value for diagnosis in DiagnosisEnum}.__contains__


def _doid(path: Path) -> Known:
    try:
        return {str(term["id"]) for term in json.loads(path.read_text(encoding="utf-8"))}.__contains__
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"not a list of Disease Ontology terms ({error})", str(path), "Give a JSON list.") from None
