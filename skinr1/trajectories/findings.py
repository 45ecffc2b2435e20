"""Annotations of a case, sorted into what is seen, told, absent, and why an image cannot be assessed."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from skinr1.cases import Case
from skinr1.concepts import concept, concepts

HISTORY, QUALITY = "history", "quality"  # groups of concepts that are not visible signs


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Concepts in the order of the vocabulary."""
    return tuple(sorted(names, key=rank))


def rank(name: str) -> int:
    """Place of a concept in the vocabulary. Raises UserError for a name outside it."""
    found = _ranks().get(name)
    return _ranks()[concept(name).name] if found is None else found


def wholes(name: str) -> tuple[str, ...]:
    """Signs that a sign implies, being kinds of them by name: silvery scale is scale."""
    parts = name.split(" ")
    return tuple(whole for at in range(1, len(parts)) if (whole := " ".join(parts[at:])) in concepts())


@lru_cache(maxsize=1)
def _ranks() -> dict[str, int]:
    return {name: rank for rank, name in enumerate(concepts())}


@dataclass(frozen=True)
class Findings:
    """Annotations of one case, each in vocabulary order: seen on the image, told by the patient, absent.

    ``quality`` says why the image cannot be assessed; it is empty for all others.
    """

    seen: tuple[str, ...]
    told: tuple[str, ...]
    absent: tuple[str, ...]
    quality: tuple[str, ...] = ()

    @classmethod
    def of(cls, case: Case) -> "Findings":
        """A complaint counts wherever it is recorded; an image cannot show it, so it is told, not seen.

        What is annotated as absent beside a kind of it that is present (no scale, silvery scale) is not absent.
        """
        named = {*case.present(), *(name for name in case.history if name in concepts())}
        told = {name for name in named if concept(name).group == HISTORY}
        quality = {name for name in named if concept(name).group == QUALITY}
        implied = {whole for name in named for whole in wholes(name)}
        absent = set(case.absent()) - named - implied
        return cls(in_order(named - told - quality), in_order(told), in_order(absent), in_order(quality))

    @property
    def present(self) -> tuple[str, ...]:
        return self.seen + self.told
