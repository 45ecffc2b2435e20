"""The audit of a split: what would leak, what was joined and why, what was moved; as plain data for a file."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skinr1.cases import Case, Split
from skinr1.splits.grouping import CasePair, Union, groups
from skinr1.splits.official import Conflict
from skinr1.splits.overlaps import PICTURES, known_overlaps


@dataclass(frozen=True)
class Sight:
    """Two pictures of two cases that show one scene.

    Attributes:
        first: case id; ``first_image`` is its picture's path in the case.
        agreement: 0..1, of the aligned pictures.
    """

    first: str
    first_image: str
    second: str
    second_image: str
    agreement: float

    @property
    def cases(self) -> CasePair:
        """The two case ids."""
        return self.first, self.second


def audit(cases: Iterable[Case], pairs: Sequence[CasePair] = ()) -> list[str]:
    """Faults of a split, one line each: a group in two splits, a case in none. An empty list means it is sound."""
    union, placed = Union(pairs), []
    for case in cases:
        union.add(case)
        placed.append((case.case_id, case.split))
    return _faults(placed, union.names())


def _faults(placed: Iterable[tuple[str, Split | None]], group_of: Sequence[str]) -> list[str]:
    """``placed``: id and split of each case."""
    first: dict[str, Split] = {}
    torn: dict[str, dict[Split, str]] = {}
    placed, faults = list(placed), []
    for (case_id, split), group in zip(placed, group_of, strict=True):
        if split is None:
            faults.append(f"case {case_id} has no split")
        elif first.setdefault(group, split) != split:
            torn[group] = {}
    for (case_id, split), group in zip(placed, group_of, strict=True):
        if group in torn and split is not None:
            torn[group].setdefault(split, case_id)
    for group, held in sorted(torn.items()):
        names = sorted(held)
        examples = ", ".join(held[name] for name in names)
        faults.append(f"{group.replace(chr(9), ' ')} is in {' and '.join(names)} ({examples})")
    return faults


def report(
    cases: Sequence[Case],
    sights: Sequence[Sight] | None,
    by_ids_alone: Sequence[str | None] | None,
    conflicts: Sequence[Conflict] = (),
) -> dict[str, Any]:
    """Everything a reviewer asks of a split.

    Args:
        cases: with their splits.
        sights: the near-duplicates found; None when nobody looked.
        by_ids_alone: the split each case would have had without looking at pictures; None where it is the same.
        conflicts: groups published in several splits.
    """
    rows = list(cases)
    group_of = groups(rows, [sight.cases for sight in sights or ()])
    by_ids = groups(rows)
    sizes = Counter(group_of)
    largest, size = max(sizes.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    before = [case.split for case in rows] if by_ids_alone is None else by_ids_alone
    places = {case.case_id: index for index, case in enumerate(rows)}
    pairs = [_pair(sight, rows, places, by_ids, before) for sight in sights or ()]
    overlaps, unseen = _overlaps(rows, group_of, looked=sights is not None)
    return {
        "cases": len(rows),
        "groups": len(sizes),
        "largest_group": {"name": largest.replace("\t", " "), "cases": size},
        "splits": _table(rows, group_of),
        "pictures_compared": sights is not None,
        "pairs_found": len(pairs),
        "pairs_new_to_ids": sum(not pair["joined_by_ids"] for pair in pairs),
        "pairs_across_splits_before": sum(pair["leaked_before"] for pair in pairs),
        "official": {
            "conflicts": [{**asdict(conflict), "group": conflict.group.replace("\t", " ")} for conflict in conflicts],
            "moved": sum(conflict.moved for conflict in conflicts),
        },
        "overlaps": overlaps,
        "pairs": sorted(pairs, key=lambda pair: (not pair["leaked_before"], pair["joined_by_ids"])),
        "faults": _faults(((case.case_id, case.split) for case in rows), group_of) + unseen,
    }


def _pair(
    sight: Sight, rows: Sequence[Case], places: dict[str, int], by_ids: Sequence[str], before: Sequence[str | None]
) -> dict[str, Any]:
    i, j = places[sight.first], places[sight.second]
    return {
        "agreement": sight.agreement,
        "joined_by_ids": by_ids[i] == by_ids[j],
        "leaked_before": before[i] != before[j],
        "sides": [
            {
                "case": rows[k].case_id,
                "source": rows[k].source,
                "image": image,
                "patient": rows[k].patient_id,
                "diagnoses": list(rows[k].diagnoses),
                "split_before": before[k],
                "split": rows[k].split,
            }
            for k, image in ((i, sight.first_image), (j, sight.second_image))
        ],
    }


def _overlaps(rows: Sequence[Case], group_of: Sequence[str], looked: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Known overlaps between the sources at hand, with what was joined; and those that nobody looked for."""
    held: dict[str, set[str]] = defaultdict(set)
    for case, group in zip(rows, group_of, strict=True):
        held[case.source].add(group)
    table, unseen = [], []
    for edge in known_overlaps().between(set(held)):
        joined = held[edge.inner] & held[edge.outer]
        table.append({**edge.model_dump(), "groups_of_inner": len(held[edge.inner]), "joined": len(joined)})
        if edge.by == PICTURES and not looked:
            unseen.append(f"{edge.inner} overlaps {edge.outer} without common ids and no pictures were compared")
    return table, unseen


def _table(rows: Sequence[Case], group_of: Sequence[str]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for name in sorted({case.split or "none" for case in rows}):
        mine = [(case, group) for case, group in zip(rows, group_of, strict=True) if (case.split or "none") == name]
        diagnoses = Counter(" or ".join(case.diagnoses) or "unlabelled" for case, _ in mine)
        tones = Counter(f"{c.skin_tone.scale} {c.skin_tone.value}" if c.skin_tone else "unknown" for c, _ in mine)
        table[name] = {
            "cases": len(mine),
            "groups": len({group for _, group in mine}),
            "sources": dict(sorted(Counter(case.source for case, _ in mine).items())),
            "diagnoses": dict(sorted(diagnoses.items())),
            "tones": dict(sorted(tones.items())),
        }
    return table
