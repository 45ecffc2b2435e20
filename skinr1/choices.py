"""Multiple-choice questions that the options alone cannot answer.

The reference builds a question's options around its truth, so that who sees only the options can guess: the truth is
one of the two that are related, has the longest name, or is the commonest. Here the diagnoses are divided once into
fixed option sets, and every member of a set is the truth of equally many questions. Whatever rule looks at the options
only says the same of each question of a set, and is right for one in as many as there are options.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skinr1.cases import Case
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

SEVERAL = "label denotes several diagnoses"
LEFT_OVER = "no option set: too few unrelated diagnoses left"
UNBALANCED = "left out for balance: its option set has a rarer member"


@dataclass(frozen=True)
class Question:
    """``options`` are node ids, in the order in which they are shown; one of them is the truth."""

    case: Case
    options: tuple[str, ...]


def option_sets(counts: Mapping[str, int], size: int, taxonomy: Taxonomy, seed: int) -> list[tuple[str, ...]]:
    """Divides diagnoses into sets of unrelated ones, of similar frequency, so that balance costs few cases.

    Args:
        counts: node -> number of its cases.
        size: options of a question.

    Returns:
        Sets of exactly ``size`` nodes, none above or below another; nodes that fit into no full set are in none.

    Raises:
        UserError: fewer than two options.
    """
    if size < 2:
        raise UserError("a question needs at least two options", str(size), "Give --options 4.")
    open_sets: list[list[str]] = []
    full: list[tuple[str, ...]] = []
    for node in sorted(counts, key=lambda node: (-counts[node], _draw(seed, node))):
        place = next(
            (found for found in open_sets if not any(_related(node, other, taxonomy) for other in found)), None
        )
        if place is None:
            place = []
            open_sets.append(place)
        place.append(node)
        if len(place) == size:
            full.append(tuple(sorted(place)))
            open_sets.remove(place)
    return full


def questions(
    cases: Iterable[Case], size: int, taxonomy: Taxonomy, seed: int
) -> tuple[list[Question], list[tuple[Case, str]]]:
    """Questions in the order of the cases, and the cases left out, each with the reason.

    The option sets follow from the counts of the diagnoses, the order of the options and which cases balance leaves out
    from the seed and the case ids. Balance holds within each split.
    """
    found = list(cases)
    refused = {case.case_id: SEVERAL for case in found if len(case.diagnoses) != 1}
    usable = [case for case in found if case.case_id not in refused]
    sets = option_sets(Counter(case.diagnoses[0] for case in usable), size, taxonomy, seed)
    set_of = {node: options for options in sets for node in options}
    groups: dict[tuple[str, tuple[str, ...]], dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in usable:
        options = set_of.get(case.diagnoses[0])
        if options is None:
            refused[case.case_id] = LEFT_OVER
        else:
            groups[case.split or "", options][case.diagnoses[0]].append(case)
    kept: set[str] = set()
    for (_, members), by_truth in groups.items():
        quota = min(len(by_truth[node]) for node in members)
        for node in members:
            ranked = sorted(by_truth[node], key=lambda case: _draw(seed, case.case_id))
            kept.update(case.case_id for case in ranked[:quota])
            refused.update((case.case_id, UNBALANCED) for case in ranked[quota:])
    made = [Question(case, _shown(set_of[case.diagnoses[0]], case, seed)) for case in usable if case.case_id in kept]
    return made, [(case, refused[case.case_id]) for case in found if case.case_id in refused]


def _related(a: str, b: str, taxonomy: Taxonomy) -> bool:
    """Whether one is the other or lies above it. Synonyms are one node."""
    return a in taxonomy.path(b) or b in taxonomy.path(a)


def _shown(options: Sequence[str], case: Case, seed: int) -> tuple[str, ...]:
    return tuple(sorted(options, key=lambda node: _draw(seed, f"{case.case_id}\t{node}")))


def _draw(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{text}".encode()).digest()
