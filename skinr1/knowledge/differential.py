"""Differential passages -> edges: which rival, and which sign decides for the subject."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.passages import Passage, Unread
from skinr1.knowledge.rules import signs
from skinr1.taxonomy import Taxonomy

_ENTRY = re.compile(r"^[-*]\s+([^:\n]+):\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Edge:
    """``signs`` speak for ``diagnosis`` against ``rival``, says ``passage``."""

    diagnosis: str
    rival: str
    signs: tuple[str, ...]
    passage: str


def edges(found: Iterable[Passage], taxonomy: Taxonomy) -> tuple[list[Edge], list[Unread]]:
    """Edges of the ``- Rival: signs`` entries, and the rivals no node is known for.

    In an entry the part up to the first semicolon is about the subject, the rest about the rival.
    """
    made: list[Edge] = []
    unread: list[Unread] = []
    for passage in found:
        if passage.kind != "differential":
            continue
        for name, text in _ENTRY.findall(passage.text):
            try:
                rivals = sorted(taxonomy.resolve(name.strip()))
            except UserError as error:
                unread.append(Unread(passage.id, str(error)))
                continue
            decisive = tuple(
                dict.fromkeys(concept for concept, denied, _ in signs(text.partition(";")[0]) if not denied)
            )
            if not decisive:
                unread.append(Unread(passage.id, f"no known sign decides against {name.strip()!r}"))
            made += [Edge(node, rival, decisive, passage.id) for node in passage.diagnoses for rival in rivals]
    return made, unread
