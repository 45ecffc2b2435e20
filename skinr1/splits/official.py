"""The splits that a data set's authors published: kept, unless they leak.

A group whose members were published in different splits cannot be kept as published. Then test wins, validation comes
next, and the others move there: a published test set stays whole, and no result on it profits from a member in train.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skinr1.cases import Case, Split
from skinr1.splits.grouping import CasePair, Union

PRECEDENCE: tuple[Split, ...] = ("test", "validation", "train")


@dataclass(frozen=True)
class Conflict:
    """A group that was published in several splits.

    Attributes:
        cases: split -> ids of the group's cases published there.
        kept: the split that all of them get.
    """

    group: str
    cases: dict[Split, tuple[str, ...]]
    kept: Split

    @property
    def moved(self) -> int:
        """How many cases leave their published split."""
        return sum(len(ids) for split, ids in self.cases.items() if split != self.kept)

    def __str__(self) -> str:
        said = ", ".join(f"{ids[0]} ({len(ids)} in {split})" for split, ids in sorted(self.cases.items()))
        return f"{self.group.replace(chr(9), ' ')} was published in several splits: {said}; all go to {self.kept}"


def published_split(case: Case) -> Split | None:
    """Where its data set puts the case; one for evaluation only belongs to test, whatever else is said."""
    return "test" if case.evaluation_only else case.split


def winner(splits: Iterable[Split | None]) -> Split | None:
    """The split that a group gets from what its members were published in; None when in nothing."""
    found = set(splits)
    return next((name for name in PRECEDENCE if name in found), None)


def conflicts(cases: Iterable[Case], pairs: Sequence[CasePair] = ()) -> list[Conflict]:
    """The groups published in several splits, sorted by name; ``cases`` carry the published splits."""
    union = Union(pairs)
    published: list[tuple[str, Split | None]] = []
    for case in cases:
        union.add(case)
        published.append((case.case_id, published_split(case)))
    by_group: dict[str, dict[Split, list[str]]] = {}
    for name, (case_id, split) in zip(union.names(), published, strict=True):
        if split is not None:
            by_group.setdefault(name, {}).setdefault(split, []).append(case_id)
    return [
        Conflict(name, {split: tuple(sorted(ids)) for split, ids in held.items()}, winner(held) or "train")
        for name, held in sorted(by_group.items())
        if len(held) > 1
    ]
