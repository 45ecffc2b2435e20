"""Leak-proof splits: cases that share a patient or a lesion stay together."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from skinr1.cases import Case, Split
from skinr1.errors import UserError

_NAMES: tuple[Split, ...] = ("train", "validation", "test")


def groups(cases: Sequence[Case]) -> list[str]:
    """The group of each case: cases joined by a patient id or a lesion id, through any chain, share one.

    Ids are compared within a source: two sources may both have a patient 7.
    """
    parent: dict[str, str] = {}

    def find(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    own: list[str] = []
    for case in cases:
        keys = _keys(case)
        own.append(keys[0])
        for key in keys[1:]:
            a, b = sorted((find(keys[0]), find(key)))
            parent[b] = a
    return [find(key) for key in own]


def _keys(case: Case) -> list[str]:
    ids = (("patient", case.patient_id), ("lesion", case.lesion_id))
    named = [f"{case.source}\t{kind}\t{value}" for kind, value in ids if value is not None]
    return named or [f"{case.source}\tcase\t{case.case_id}"]


def assign(cases: Iterable[Case], fractions: Mapping[str, float], seed: int) -> list[Case]:
    """Sets ``split`` on every case, by group, keeping each diagnosis near its fraction in every split.

    Groups are taken largest first within the rarest diagnosis they hold, ties in an order drawn from ``seed``; each
    goes to the split that lacks most of its diagnoses. The result does not depend on the order of the cases.

    Args:
        fractions: split name -> share (> 0 or left out); shares are normalised.

    Raises:
        UserError: an unknown split, no positive share, or a split that would stay empty.
    """
    rows = list(cases)
    shares = _shares(fractions)
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups(rows)):
        members[group].append(index)
    totals = Counter(_stratum(case) for case in rows)
    wanted = {s: {name: total * share for name, share in shares.items()} for s, total in totals.items()}
    room = {name: len(rows) * share for name, share in shares.items()}
    order = sorted(
        members,
        key=lambda g: (min(totals[_stratum(rows[i])] for i in members[g]), -len(members[g]), _draw(seed, g)),
    )
    split_of: dict[str, Split] = {}
    for group in order:
        held = Counter(_stratum(rows[i]) for i in members[group])
        size = len(members[group])
        need = {n: sum(wanted[s][n] * count for s, count in held.items()) / size for n in shares}
        best = max(shares, key=lambda n: (need[n] + room[n] / (len(rows) * shares[n]), -_NAMES.index(n)))
        room[best] -= size
        for stratum, count in held.items():
            wanted[stratum][best] -= count
        split_of[group] = best
    _fill_empty(split_of, shares)
    return [case.model_copy(update={"split": split_of[group]}) for case, group in zip(rows, groups(rows), strict=True)]


def _fill_empty(split_of: dict[str, Split], shares: Mapping[Split, float]) -> None:
    """Small data can leave a split without anybody: the fullest split then gives the group placed last."""
    for name in shares:
        sizes = Counter(split_of.values())
        if sizes[name]:
            continue
        donor = max(shares, key=lambda n: (sizes[n], -_NAMES.index(n)))
        if sizes[donor] < 2:
            raise UserError(
                f"split would be empty ({len(split_of)} patients in all)",
                name,
                "Add patients or set its fraction to 0.",
            )
        split_of[[group for group, owner in split_of.items() if owner == donor][-1]] = name


def audit(cases: Iterable[Case]) -> list[str]:
    """Faults of a split, one line each: a group in two splits, a case in none. An empty list means it is sound."""
    rows = list(cases)
    seen: dict[str, set[str]] = defaultdict(set)
    faults = []
    for case, group in zip(rows, groups(rows), strict=True):
        if case.split is None:
            faults.append(f"case {case.case_id} has no split")
        else:
            seen[group].add(case.split)
    for group, names in sorted(seen.items()):
        if len(names) > 1:
            faults.append(f"{group.replace(chr(9), ' ')} is in {' and '.join(sorted(names))}")
    return faults


def _shares(fractions: Mapping[str, float]) -> dict[Split, float]:
    for name, share in fractions.items():
        if name not in _NAMES:
            raise UserError("unknown split", repr(name), f"Use {', '.join(_NAMES)}.")
        if share < 0:
            raise UserError("negative split fraction", f"{name}: {share}", "Give fractions of at least 0.")
    total = sum(fractions.values())
    if not total > 0:
        raise UserError("no split has a positive fraction", str(dict(fractions)), "Give at least one above 0.")
    return {name: fractions[name] / total for name in _NAMES if fractions.get(name, 0) > 0}


def _stratum(case: Case) -> str:
    return f"{case.role} {' '.join(case.diagnoses) or 'unlabelled'}"


def _draw(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}\t{group}".encode()).hexdigest()
