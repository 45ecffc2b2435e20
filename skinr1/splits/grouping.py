"""Which cases must stay together: one patient, one lesion, one picture, across data sets."""

from collections.abc import Iterable

from skinr1.cases import Case
from skinr1.splits.overlaps import known_overlaps

# Two case ids of near-duplicate pictures.
CasePair = tuple[str, str]


def groups(cases: Iterable[Case], pairs: Iterable[CasePair] = ()) -> list[str]:
    """The group of each case: patient, lesion, known overlap and ``pairs`` join cases, through any chain.

    Ids are compared within a source (two sources may both have a patient 7), but for those that the table of known
    overlaps says are common to several. A group is named by the smallest of its keys, so its name does not depend on
    the order of the cases.

    Args:
        pairs: near-duplicates; one with a case that is not among ``cases`` is left aside.
    """
    union = Union(pairs)
    for case in cases:
        union.add(case)
    return union.names()


class Union:
    """Union-find over the keys of cases that are added one at a time and not kept."""

    def __init__(self, pairs: Iterable[CasePair] = ()):
        self._pairs = list(pairs)
        self._paired = dict.fromkeys((case for pair in self._pairs for case in pair), "")
        self._parent: dict[str, str] = {}
        self._own: list[str] = []

    def add(self, case: Case) -> None:
        """Joins all keys of the case."""
        first, *others = _keys(case)
        self._parent.setdefault(first, first)
        for key in others:
            self._join(first, key)
        self._own.append(first)
        if case.case_id in self._paired:
            if known := self._paired[case.case_id]:
                self._join(known, first)
            self._paired[case.case_id] = first

    def names(self) -> list[str]:
        """The group of each case, in the order in which they were added."""
        for first, second in self._pairs:
            if self._paired[first] and self._paired[second]:
                self._join(self._paired[first], self._paired[second])
        return [self._find(key) for key in self._own]

    def _join(self, first: str, second: str) -> None:
        low, high = sorted((self._find(first), self._find(second)))
        self._parent[high] = low

    def _find(self, key: str) -> str:
        parent = self._parent
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key


def _keys(case: Case) -> list[str]:
    ids = (("patient", case.patient_id), ("lesion", case.lesion_id))
    named = [f"{case.source}\t{kind}\t{value}" for kind, value in ids if value is not None]
    return (named or [f"{case.source}\tcase\t{case.case_id}"]) + known_overlaps().keys(case)
