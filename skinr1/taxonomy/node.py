"""A node of the tree, its risk bucket, and the form in which two labels are compared."""

import re
import unicodedata
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property


class Bucket(StrEnum):
    """Risk bucket of a diagnosis, stated at its node and never guessed from a name."""

    BENIGN = "benign"
    INDETERMINATE = "indeterminate"
    MALIGNANT = "malignant"
    NON_NEOPLASTIC = "non_neoplastic"


SYSTEMS = ("icd10cm", "isic", "doid")


@dataclass(frozen=True)
class Node:
    """One diagnosis or group.

    Args:
        id: full path from the top, parts joined by ``/``.
        bucket: None only for a group whose members differ in risk.
        contagious: whether it passes from person to person by the contact or the air of daily or sexual life.
        diagnosis: whether the node is a diagnosis by itself; every leaf is, a group may be (melanoma, subtype unknown).
        icd10cm: ICD-10-CM codes, the nearest there is; several nodes may share one.
        isic: ISIC-DX paths (``Benign:…:Nevus``), exact counterparts.
        doid: Disease Ontology ids (``DOID:8893``), exact counterparts.
        distinct_from: (label, reason) pairs: labels that read like a parent of this node and are none.
    """

    id: str
    name: str
    bucket: Bucket | None
    aliases: tuple[str, ...] = ()
    contagious: bool = False
    diagnosis: bool = True
    icd10cm: tuple[str, ...] = ()
    isic: tuple[str, ...] = ()
    doid: tuple[str, ...] = ()
    distinct_from: tuple[tuple[str, str], ...] = ()

    @cached_property
    def depth(self) -> int:
        """Levels from the top; a top-level group has depth 1."""
        return self.id.count("/") + 1

    @property
    def parent(self) -> str | None:
        return self.id.rpartition("/")[0] or None

    @property
    def labels(self) -> tuple[str, ...]:
        """Preferred name, then aliases."""
        return (self.name, *self.aliases)

    def codes(self, system: str) -> tuple[str, ...]:
        """Codes in one of :data:`SYSTEMS`."""
        return {"icd10cm": self.icd10cm, "isic": self.isic, "doid": self.doid}[system]

    @property
    def fingerprint(self) -> str:
        """All that the node says, on one line."""
        return "\t".join(repr(getattr(self, field.name)) for field in fields(self))


# Letters in lower case, digits as they are, anything else of ASCII as a space: a table of 128 is the quickest.
_PLAIN = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128))
_POSSESSIVE = re.compile(r"['’](?:s\b)?", re.IGNORECASE)


def normalise(label: str) -> str:
    """Comparison form of a label: lower case, no accents, no possessive (Bowen's disease is Bowen disease), other
    punctuation as one space.
    """
    return " ".join(words(label))


def words(label: str) -> list[str]:
    """The words of :func:`normalise`."""
    if "'" in label or "’" in label:
        label = _POSSESSIVE.sub("", label)
    if not label.isascii():
        label = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return label.translate(_PLAIN).split()
