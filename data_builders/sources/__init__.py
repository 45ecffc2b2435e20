"""Sources: each yields Cases lazily, and a Rejection for every row it cannot use.

Every source is a function ``(path, taxonomy, options) -> SourceRows``; :data:`data_builders.sources.catalogue.SOURCES`
lists them. What each data set looks like on disk is in its module's docstring and in docs/sources.md.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from skinr1.cases import Case, Modality


@dataclass(frozen=True)
class Rejection:
    """A row that gave no case: where it stands and why. Builders write it down and never drop it silently."""

    where: str
    reason: str


@dataclass(frozen=True)
class Options:
    """What a user may say about a data set beyond where it lies.

    Attributes:
        seed: with the patient's id, decides who is dense.
        dense_share: share of the patients whose findings are kept (role dense, where there is any); the others are
            sparse: the label only.
        licence: of images whose data set or row states none.
        modality: of images whose table does not say it.
        label_map: YAML label map of one's own images; data sets bring theirs.
    """

    seed: int = 0
    dense_share: float = 0.5
    licence: str = "unstated"
    modality: Modality | None = None
    label_map: str | None = None


# The images of a yielded Case are paths of the source's own files (or, for the rendered clinic, RenderSpec URIs);
# data_builders.cases prepares them and writes the paths relative to cases.jsonl.
SourceRows = Iterator[Case | Rejection]


def chosen(seed: int, group: str, share: float) -> bool:
    """Whether a patient belongs to the given share: decided by hash, so it never depends on who else is there."""
    digest = hashlib.sha256(f"{seed}\tdense\t{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


__all__ = ["Options", "Rejection", "SourceRows", "chosen"]
