"""Annotations of a case, sorted into what is seen, told, absent, and why an image cannot be assessed."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property

from skinr1.cases import Case
from skinr1.concepts import concept, concepts
from skinr1.errors import UserError

HISTORY, QUALITY = "history", "quality"  # groups of concepts that are not visible signs


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Concepts in the order of the vocabulary. Raises UserError for a name outside it."""
    try:
        return tuple(sorted(names, key=_ranks().__getitem__))
    except KeyError as error:
        raise UserError("unknown concept", str(error), "Use a name listed in skinr1/concepts.yaml.") from None


def rank(name: str) -> int:
    """Place of a concept in the vocabulary. Raises UserError for a name outside it."""
    found = _ranks().get(name)
    return _ranks()[concept(name).name] if found is None else found


@cache
def _ranks() -> dict[str, int]:
    return {name: rank for rank, name in enumerate(concepts())}


@cache
def _group(name: str) -> str:
    return concept(name).group


@cache
def wholes(name: str) -> tuple[str, ...]:
    """Signs that a sign implies, being kinds of them by name: silvery scale is scale."""
    parts = name.split(" ")
    return tuple(whole for at in range(1, len(parts)) if (whole := " ".join(parts[at:])) in concepts())


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
        last, made = _last[0]
        if last is case:  # asked for by the builder, the maker and the check, one after the other
            return made
        named = {*case.present(), *(name for name in case.history if name in concepts())}
        told = {name for name in named if _group(name) == HISTORY}
        quality = {name for name in named if _group(name) == QUALITY}
        implied = {whole for name in named for whole in wholes(name)}  # annotated as absent or not
        absent = set(case.absent()) - named - implied
        made = cls(in_order(named - told - quality), in_order(told), in_order(absent), in_order(quality))
        _last[0] = case, made
        return made

    @cached_property
    def present(self) -> tuple[str, ...]:
        return self.seen + self.told


_last: list[tuple[Case | None, Findings]] = [(None, Findings((), (), ()))]  # the case read last; cases do not change
