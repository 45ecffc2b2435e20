"""Dividing groups over the splits: no group in two, every diagnosis, tone and source near its fraction in each."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from skinr1.cases import Case, Split
from skinr1.errors import UserError
from skinr1.splits.grouping import CasePair, Union
from skinr1.splits.official import published_split, winner

NAMES: tuple[Split, ...] = ("train", "validation", "test")
_ALL = "all"  # the stratum of every case


class _Kind(NamedTuple):
    """What is remembered of a case; equal ones are one object."""

    diagnosis: str
    tone: str
    source: str
    published: Split | None

    @property
    def strata(self) -> tuple[str, ...]:
        return self.diagnosis, self.tone, f"source {self.source}", f"{self.diagnosis} {self.tone}"


class _Group:
    """What is remembered of a group: the kinds of its cases, and where its data sets allow them."""

    __slots__ = ("allowed", "kinds")

    def __init__(self) -> None:
        self.kinds: list[_Kind] = []
        self.allowed: tuple[Split, ...] = ()

    @property
    def size(self) -> int:
        return len(self.kinds)

    def strata(self) -> Counter[str]:
        return Counter(stratum for kind in self.kinds for stratum in kind.strata)


def assign(
    cases: Iterable[Case], fractions: Mapping[str, float], seed: int, pairs: Sequence[CasePair] = ()
) -> list[Case]:
    """Sets ``split`` on every case; see :func:`plan`."""
    rows = list(cases)
    return [
        case.model_copy(update={"split": split})
        for case, split in zip(rows, plan(rows, fractions, seed, pairs), strict=True)
    ]


def plan(
    cases: Iterable[Case], fractions: Mapping[str, float], seed: int, pairs: Sequence[CasePair] = ()
) -> list[Split]:
    """The split of each case, by group. Reads the cases once and keeps none of them.

    A split that a case already has is its data set's own and is kept (:mod:`skinr1.splits.official`); a data set that
    published train but no validation has validation carved out of that train. Among the rest, groups are taken
    rarest stratum first, larger first, ties in an order drawn from ``seed``; each goes where it adds least to the
    chi-squared miss of the wanted counts, summed over its strata. Strata are all cases, role with diagnosis, skin tone,
    source, and diagnosis with tone where that is common enough for the smallest split. The result does not depend on
    the order of the cases. Time grows as n log n.

    Args:
        fractions: split name -> share (> 0 or left out); shares are normalised.
        pairs: near-duplicates, as for :func:`skinr1.splits.groups`.

    Raises:
        UserError: an unknown split, no positive share, or a split that would stay empty though there are free cases.
    """
    shares = _shares(fractions)
    group_of, members = _gather(cases, shares, pairs)
    split_of: dict[str, Split] = {}
    pools: dict[tuple[Split, ...], list[str]] = defaultdict(list)
    for name, group in members.items():
        pools[group.allowed].append(name)
    for allowed, names in sorted(pools.items()):
        if len(allowed) == 1:
            split_of.update(dict.fromkeys(names, allowed[0]))
        else:
            total = sum(shares[split] for split in allowed)
            part = {split: shares[split] / total for split in allowed}
            split_of.update(_divide({name: members[name] for name in names}, part, seed))
    _fill_empty(split_of, members, shares)
    return [split_of[name] for name in group_of]


def _gather(
    cases: Iterable[Case], shares: Mapping[Split, float], pairs: Sequence[CasePair]
) -> tuple[list[str], dict[str, _Group]]:
    union = Union(pairs)
    kinds: dict[_Kind, _Kind] = {}
    kind_of: list[_Kind] = []
    published: dict[str, set[Split]] = defaultdict(set)
    for case in cases:
        union.add(case)
        kind = _Kind(*_strata(case), case.source, published_split(case))
        kind_of.append(kinds.setdefault(kind, kind))
        if kind.published is not None:
            published[case.source].add(kind.published)
    group_of = union.names()
    members: dict[str, _Group] = {}
    for name, kind in zip(group_of, kind_of, strict=True):
        members.setdefault(name, _Group()).kinds.append(kind)
    ways: dict[tuple[Split, ...], tuple[Split, ...]] = {}
    for group in members.values():
        allowed = _allowed({(kind.source, kind.published) for kind in group.kinds}, published, shares)
        group.allowed = ways.setdefault(allowed, allowed)
    return group_of, members


def _allowed(
    members: set[tuple[str, Split | None]], published: Mapping[str, set[Split]], shares: Mapping[Split, float]
) -> tuple[Split, ...]:
    fixed = winner(split for _, split in members)
    if fixed is None:
        return tuple(shares)
    whole = any(split == "train" and "validation" in published[source] for source, split in members)
    if fixed == "train" and not whole and {"train", "validation"} <= set(shares):
        return ("train", "validation")
    return (fixed,)


def _divide(members: Mapping[str, _Group], shares: Mapping[Split, float], seed: int) -> dict[str, Split]:
    totals: Counter[str] = Counter()
    kinds = Counter(kind for group in members.values() for kind in group.kinds)
    for kind, count in kinds.items():
        for stratum in kind.strata:
            totals[stratum] += count
    totals[_ALL] = sum(group.size for group in members.values())
    smallest = min(shares.values())
    counted = {s for s, total in totals.items() if _is_single(s) or total * smallest >= 1}
    wanted = {s: {split: totals[s] * share for split, share in shares.items()} for s in counted}
    missing = {s: dict(wanted[s]) for s in counted}
    rarity = {kind: min(totals[s] for s in kind.strata if s.startswith("role ") and s in counted) for kind in kinds}
    rarest = {name: min(rarity[kind] for kind in group.kinds) for name, group in members.items()}
    split_of: dict[str, Split] = {}
    for name in sorted(members, key=lambda g: (rarest[g], -members[g].size, _draw(seed, g))):
        group = members[name]
        held = [(_ALL, group.size), *sorted((s, n) for s, n in group.strata().items() if s in counted)]
        # the rise of the sum over strata of (cases placed - wanted)² / wanted, were the group put there
        cost = {split: sum(n * (n - 2 * missing[s][split]) / wanted[s][split] for s, n in held) for split in shares}
        best = min(shares, key=lambda split: (round(cost[split], 9), NAMES.index(split)))
        for stratum, count in held:
            missing[stratum][best] -= count
        split_of[name] = best
    return split_of


def _fill_empty(split_of: dict[str, Split], members: Mapping[str, _Group], shares: Mapping[Split, float]) -> None:
    """Small data can leave a split without anybody: the fullest split then gives the free group placed last.

    Where everything was published, the splits are those published, an empty one included.
    """
    if members and all(len(group.allowed) == 1 for group in members.values()):
        return
    for name in shares:
        sizes = Counter(split_of.values())
        if sizes[name]:
            continue
        free = [g for g, owner in split_of.items() if name in members[g].allowed and sizes[owner] > 1]
        if not free:
            raise UserError(
                f"split would be empty ({len(split_of)} patients in all)",
                name,
                "Add patients or set its fraction to 0.",
            )
        donor = max({split_of[g] for g in free}, key=lambda n: (sizes[n], -NAMES.index(n)))
        split_of[[g for g in free if split_of[g] == donor][-1]] = name


def _shares(fractions: Mapping[str, float]) -> dict[Split, float]:
    for name, share in fractions.items():
        if name not in NAMES:
            raise UserError("unknown split", repr(name), f"Use {', '.join(NAMES)}.")
        if share < 0:
            raise UserError("negative split fraction", f"{name}: {share}", "Give fractions of at least 0.")
    total = sum(fractions.values())
    if not total > 0:
        raise UserError("no split has a positive fraction", str(dict(fractions)), "Give at least one above 0.")
    return {name: fractions[name] / total for name in NAMES if fractions.get(name, 0) > 0}


def _strata(case: Case) -> tuple[str, str]:
    tone = f"{case.skin_tone.scale} {case.skin_tone.value}" if case.skin_tone else "unknown"
    return f"role {case.role} {' '.join(case.diagnoses) or 'unlabelled'}", f"tone {tone}"


def _is_single(stratum: str) -> bool:
    """Not the combination of a diagnosis and a tone."""
    return not stratum.startswith("role ") or " tone " not in stratum


def _draw(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}\t{group}".encode()).hexdigest()
