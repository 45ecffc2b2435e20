"""Differential passages -> edges: which rival, and which sign decides for the subject."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.passages import Passage, Unread
from skinr1.knowledge.rules import signs
from skinr1.taxonomy import Taxonomy

# A list item reaches to the next one or to a blank line: books wrap their lines.
_ITEM = re.compile(r"^[ \t]*[-*+][ \t]+(.+?)(?=\n[ \t]*[-*+][ \t]|\n[ \t]*\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Edge:
    """``signs`` speak for ``diagnosis`` against ``rival``, says ``passage``; empty where it names none we know."""

    diagnosis: str
    rival: str
    signs: tuple[str, ...]
    passage: str


def edges(found: Iterable[Passage], taxonomy: Taxonomy) -> tuple[list[Edge], list[Unread]]:
    """Edges of the ``- Rival: signs`` entries, and what could not be used: rivals no node is known for, other text.

    In an entry the part up to the first semicolon is about the subject, the rest about the rival.
    """
    made: list[Edge] = []
    unread: list[Unread] = []
    for passage in (passage for passage in found if passage.kind == "differential"):
        items = [" ".join(item.split()) for item in _ITEM.findall(passage.text)]
        if not items:
            unread.append(Unread(passage.id, "no list of rivals (- Name: signs)"))
        for item in items:
            try:
                made += _entry(item, passage, taxonomy, unread)
            except UserError as error:
                unread.append(Unread(passage.id, str(error)))
    return made, unread


def _entry(item: str, passage: Passage, taxonomy: Taxonomy, unread: list[Unread]) -> Iterator[Edge]:
    """Raises UserError when the entry names no rival, or one that no node is known for."""
    name, colon, text = item.partition(":")
    if not colon:
        raise UserError("entry without a colon", repr(item[:60]), "Write `- Name: signs`.")
    rivals = sorted(taxonomy.resolve(name.strip()))
    decisive = tuple(dict.fromkeys(sign for sign, denied, _ in signs(text.partition(";")[0]) if not denied))
    if not decisive:
        unread.append(Unread(passage.id, f"no known sign decides against {name.strip()!r}"))
    for node in passage.diagnoses:
        yield from (Edge(node, rival, decisive, passage.id) for rival in rivals if rival != node)
        if node in rivals:
            unread.append(Unread(passage.id, f"{name.strip()!r} is its own rival"))
