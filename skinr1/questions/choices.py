"""Option sets for multiple choice that tell nothing about the answer.

Questions come in blocks. A block is k cases with k labels that exclude one another, and each of its k questions lists
those k labels in the same order. So over a block every option is the truth exactly once, whatever its name, length,
place in the tree, frequency or position: a solver that sees the options only is right once in k questions, exactly.
The reference draws the right options from one lineage and the wrong ones at random, and the deeper of the two related
names wins.

Blocks cannot take a label that more than 1/k of the cases have: its surplus gets no options, and is asked openly.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import normalise

Options = tuple[tuple[str, ...], ...]
# A drawing may run into a dead end: what is drawn first excludes the rest. Then it is repeated.
_TRIES = 20


@dataclass(frozen=True, order=True)
class Label:
    """What is known of a case's diagnosis.

    Attributes:
        nodes: that the label denotes; together they are one option.
        also: further nodes that some reader thought of, which no distractor may be.
    """

    nodes: tuple[str, ...]
    also: tuple[str, ...] = ()


def option_name(nodes: Iterable[str], taxonomy: Taxonomy) -> str:
    """An option in words; a label that denotes several nodes is one option of several names."""
    return " or ".join(taxonomy.node(node).name for node in nodes)


def option_sets(
    labels: Mapping[str, Label],
    taxonomy: Taxonomy,
    size: int = 4,
    seed: int = 0,
    beside: Callable[[Label, Label], bool] | None = None,
) -> dict[str, Options]:
    """Case id -> its options, for the cases that find a place in a block.

    The result depends on seed, case ids and labels, and not on the order of the mapping.

    Args:
        labels: case id -> label, of one split: no option may come from another.
        size: options of a question.
        beside: whether two labels that exclude each other may stand in one block as well; symmetric; None: all may.

    Raises:
        UserError: fewer than two options, or a node that is not in the taxonomy.
    """
    if size < 2:
        raise UserError("a choice has fewer than two options", str(size), "Give at least 2.")
    waiting: dict[Label, list[str]] = {label: [] for label in sorted(set(labels.values()))}
    for case_id in sorted(labels, key=lambda case_id: hashlib.sha256(f"{seed}\t{case_id}".encode()).digest()):
        waiting[labels[case_id]].append(case_id)
    kinds = list(waiting)
    found: dict[str, Options] = {}
    fitting, shared = _relations(kinds, taxonomy)
    if beside:
        fitting &= np.array([[beside(one, other) for other in kinds] for one in kinds], dtype=bool).reshape(
            fitting.shape
        )
    for block in _blocks(fitting, shared, [len(cases) for cases in waiting.values()], size, seed):
        options = tuple(kinds[kind].nodes for kind in block)
        found |= {waiting[kinds[kind]].pop(): options for kind in block}
    return found


def _blocks(fitting: Any, shared: Any, counts: list[int], size: int, seed: int) -> Iterator[list[int]]:
    """Yields blocks of kinds that all fit together, each kind at most as often as counted, in the order to be shown.

    The most frequent kind that is left always takes part, and so does every kind that each block to come needs. The
    others are drawn by what is left of them, and twice as likely for each level of the tree that they share with the
    first: near ones teach more.
    """
    left = np.array(counts, dtype=np.int64)
    chance = random.Random(f"option sets {seed}")  # seeded by the text's SHA-512, not by its hash()
    to_come = _possible(left, size)
    while to_come:
        first = int(left.argmax())
        block = _block(first, left, to_come, fitting, np.exp2(shared[first]).astype(np.int64), size, chance)
        if block is None:
            left[first] = 0
        else:
            left[block] -= 1
            chance.shuffle(block)
            yield block
        to_come = to_come - 1 if block and to_come > 1 else _possible(left, size)


def _possible(left: Any, size: int) -> int:
    """Most blocks of kinds that all exclude one another: the largest b with Σ min(left, b) ≥ size·b."""
    low, high = 0, int(left.sum()) // size
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(left, middle).sum() >= size * middle else (low, middle - 1)
    return low


def _block(
    first: int, left: Any, to_come: int, fitting: Any, nearness: Any, size: int, chance: random.Random
) -> list[int] | None:
    """A block with ``first``; None where nothing goes with it."""
    for _ in range(_TRIES):
        block, open_to = [first], left * nearness * fitting[first]
        while len(block) < size and open_to.any():
            needed = open_to * (left >= to_come)
            weights = np.cumsum(needed if needed.any() else open_to)
            drawn = int(np.searchsorted(weights, chance.randrange(int(weights[-1])), side="right"))
            block.append(drawn)
            open_to = open_to * fitting[drawn]
        if len(block) == size:
            return block
    return None


def _relations(kinds: list[Label], taxonomy: Taxonomy) -> tuple[Any, Any]:
    """Two matrices [U, U]: whether two labels exclude each other, and how many levels they share.

    Labels do not exclude each other where a node of one (of its ``also`` too) is a node of the other, lies above or
    below one, or has a name in common with one.
    """
    own = [set(kind.nodes) for kind in kinds]
    full = [{*kind.nodes, *kind.also} for kind in kinds]

    def above(nodes: set[str]) -> set[str]:
        return {upper for node in nodes for upper in taxonomy.path(node)}

    def words(nodes: set[str]) -> set[str]:
        return {normalise(label) for node in nodes for label in taxonomy.node(node).labels}

    lineage = _common(own, list(map(above, full))) + _common(list(map(above, own)), full)
    related = (lineage + _common(list(map(words, own)), list(map(words, full)))) > 0
    lines = list(map(above, own))
    return ~(related | related.T), _common(lines, lines)


def _common(these: list[set[str]], those: list[set[str]]) -> Any:
    """[U, U] numbers of elements that each of these sets shares with each of those."""
    columns = {name: place for place, name in enumerate(sorted(set().union(*these, *those)))}

    def rows(sets: list[set[str]]) -> Any:
        table = np.zeros((len(sets), len(columns)), dtype=np.float32)
        for row, names in enumerate(sets):
            table[row, [columns[name] for name in names]] = 1
        return table

    return rows(these) @ rows(those).T
