"""Sources: each yields Cases lazily, and a Rejection for every row it cannot use."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from skinr1.cases import Case


@dataclass(frozen=True)
class Rejection:
    """A row that gave no case: where it stands and why. Builders write it down and never drop it silently."""

    where: str
    reason: str


# The images of a yielded Case are paths of the source's own files (or, for the rendered clinic, RenderSpec URIs);
# data_builders.cases prepares them and writes the paths relative to cases.jsonl.
SourceRows = Iterator[Case | Rejection]


def chosen(seed: int, group: str, share: float) -> bool:
    """Whether a patient belongs to the given share: decided by hash, so it never depends on who else is there."""
    digest = hashlib.sha256(f"{seed}\tdense\t{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


__all__ = ["Rejection", "SourceRows", "chosen"]
