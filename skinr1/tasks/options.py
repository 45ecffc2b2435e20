"""The questions of a task: a row for each case, or several, and the options that each one shows.

- ``level``: for each level of the tree, the nodes of that level that occur among the labels.
- ``block``: labels that exclude each other, balanced so that options alone tell nothing (:mod:`skinr1.questions`).
- ``rivals``: labels that are all rivals of one another in the differential graph of the textbook, balanced as a block:
  with the rivals of the truth alone, the truth is the one that is a rival of all.
- ``path``: the nodes on the way to the label and no other, as Skin-R1's hierarchical benchmark has them.
- ``paths``: the nodes on the ways to two labels that exclude each other; each is the truth of as many questions.
- ``lineage``: as Skin-R1 draws them: some of the label's own way, the others at random.

Names alone answer ``path`` and go far with ``lineage``: :mod:`skinr1.metrics.forms` says how far.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skinr1.cases import Case
from skinr1.knowledge import Knowledge
from skinr1.letters import CONDITION_LETTERS, LETTERS
from skinr1.questions import Label, Options, option_sets
from skinr1.questions.shortcuts import are_rivals
from skinr1.tasks.asking import Item
from skinr1.tasks.task import Task
from skinr1.taxonomy import Bucket, Taxonomy

_LETTERED = [{bucket} for bucket in CONDITION_LETTERS.values()]
MOST_RIGHT = 3  # options of the label's own way that Skin-R1 shows at most


@dataclass(frozen=True)
class LeftOut:
    """A case that is not asked, or not at some level, and why."""

    case_id: str
    reason: str


Found = tuple[list[Item], list[LeftOut]]


def questions(
    task: Task, cases: Sequence[Case], taxonomy: Taxonomy, seed: int, knowledge: Knowledge | None = None
) -> Found:
    """The questions about labelled cases, and the cases that are not asked.

    The result depends on seed, case ids and labels, and not on the order of the cases.

    Args:
        knowledge: whose differential graph names the rivals; default: the embedded textbook's.
    """
    refused = [(case, task.data.refuses(case)) for case in cases]
    left = [LeftOut(case.case_id, reason) for case, reason in refused if reason]
    asked = [case for case, reason in refused if not reason]
    if task.form == "condition_letter":
        lettered = {case.case_id for case in asked if _buckets(case, taxonomy) in _LETTERED}
        left += [LeftOut(case.case_id, "no letter for its condition") for case in asked if case.case_id not in lettered]
        asked = [case for case in asked if case.case_id in lettered]
    if task.options is None:
        return [Item(case.case_id, case) for case in asked], left
    kind, size = task.options.kind, task.options.size
    if kind == "level":
        items, further = _levels(asked, taxonomy, seed)
    elif kind == "rivals":
        items, further = _rivals(asked, taxonomy, seed, size, knowledge or Knowledge.primer(taxonomy))
    elif kind == "path":
        items, further = _path(asked, taxonomy, seed)
    elif kind == "lineage":
        items, further = _lineage(asked, taxonomy, seed, size)
    else:
        items, further = _blocks(asked, taxonomy, seed, size if kind == "block" else 2)
        if kind == "paths":
            items = [Item(item.case_id, item.case, _both_ways(item.options, taxonomy, seed)) for item in items]
    if task.form == "letter":
        further += [LeftOut(item.case_id, "more options than letters") for item in items if _many(item)]
        items = [item for item in items if not _many(item)]
    return items, [*left, *further]


def _buckets(case: Case, taxonomy: Taxonomy) -> set[Bucket | None]:
    return {taxonomy.bucket(node) for node in case.diagnoses}


def _many(item: Item) -> bool:
    return len(item.options) > len(LETTERS)


def _levels(cases: Sequence[Case], taxonomy: Taxonomy, seed: int) -> Found:
    items, left = [], []
    occurring: dict[int, set[str]] = {}
    for case in cases:
        for node in _above(case.diagnoses, taxonomy):
            occurring.setdefault(taxonomy.node(node).depth, set()).add(node)
    for case in cases:
        for level in range(1, max(taxonomy.node(node).depth for node in case.diagnoses) + 1):
            row_id = f"{case.case_id}#level-{level}"
            if len(occurring[level]) < 2:
                left.append(LeftOut(row_id, "one node at this level"))
                continue
            items.append(Item(row_id, case, _shuffled(_single(sorted(occurring[level])), seed, row_id)))
    return items, left


def _rivals(cases: Sequence[Case], taxonomy: Taxonomy, seed: int, size: int, knowledge: Knowledge) -> Found:
    """The largest blocks first, ``size`` options at most; a case that finds no room may find it in a smaller one."""
    graph = knowledge.rivals()
    labels, sets = _labels(cases), dict[str, Options]()
    for width in range(size, 1, -1):
        waiting = {case_id: label for case_id, label in labels.items() if case_id not in sets}
        sets |= option_sets(
            waiting, taxonomy, width, seed, lambda one, other: are_rivals(one.nodes, other.nodes, graph)
        )
    return _placed(cases, sets, "no block of rivals has room")


def _path(cases: Sequence[Case], taxonomy: Taxonomy, seed: int) -> Found:
    """A label of several nodes stands for its first, as in the published construction, which knows no such label."""
    items, left = [], []
    for case in cases:
        way = taxonomy.path(case.diagnoses[0])
        if len(way) < 2:
            left.append(LeftOut(case.case_id, "the label is a top-level group"))
            continue
        items.append(Item(case.case_id, case, _shuffled(_single(way), seed, case.case_id)))
    return items, left


def _lineage(cases: Sequence[Case], taxonomy: Taxonomy, seed: int, size: int) -> Found:
    """Skin-R1, ``RL_data_construct.py: sampling_options``: 1 to 3 nodes of the own way, uniformly, the others from the
    ways of all cases of the same source.
    """
    ways: dict[str, set[str]] = {}
    for case in cases:
        ways.setdefault(case.source, set()).update(taxonomy.path(case.diagnoses[0]))
    items, left = [], []
    for case in cases:
        way = taxonomy.path(case.diagnoses[0])
        others = sorted(ways[case.source] - set(_above(case.diagnoses, taxonomy)))
        chance = random.Random(f"lineage {seed}\t{case.case_id}")  # seeded by the text's SHA-512, not by its hash()
        right = chance.sample(way, chance.randint(1, min(MOST_RIGHT, len(way), size - 1)))
        if len(others) < size - len(right):
            left.append(LeftOut(case.case_id, "too few other nodes in its source"))
            continue
        wrong = chance.sample(others, size - len(right))
        items.append(Item(case.case_id, case, _shuffled(_single((*right, *wrong)), seed, case.case_id)))
    return items, left


def _blocks(cases: Sequence[Case], taxonomy: Taxonomy, seed: int, size: int) -> Found:
    return _placed(cases, option_sets(_labels(cases), taxonomy, size, seed), "no block of labels has room")


def _labels(cases: Sequence[Case]) -> dict[str, Label]:
    return {case.case_id: Label(case.diagnoses, tuple(node for node, _ in case.differential)) for case in cases}


def _placed(cases: Sequence[Case], sets: Mapping[str, Options], otherwise: str) -> Found:
    items = [Item(case.case_id, case, sets[case.case_id]) for case in cases if case.case_id in sets]
    return items, [LeftOut(case.case_id, otherwise) for case in cases if case.case_id not in sets]


def _both_ways(pair: Options, taxonomy: Taxonomy, seed: int) -> Options:
    """The order is that of the pair, so that it is the same whichever of the two is the truth."""
    nodes = sorted({part for label in pair for part in taxonomy.path(label[0])})
    return _shuffled(_single(nodes), seed, "\t".join(nodes))


def _single(nodes: Iterable[str]) -> Options:
    return tuple((node,) for node in nodes)


def _above(nodes: Iterable[str], taxonomy: Taxonomy) -> list[str]:
    return [part for node in nodes for part in taxonomy.path(node)]


def _shuffled(options: Options, seed: int, name: str) -> Options:
    listed = list(options)
    random.Random(f"order {seed}\t{name}").shuffle(listed)
    return tuple(listed)
