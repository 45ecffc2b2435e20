"""Knowledge of several books as one weighted graph: who is a rival of whom, which sign decides, who says so."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skinr1.knowledge.differential import Edge
from skinr1.knowledge.passages import Passage
from skinr1.knowledge.rules import Rule


@dataclass(frozen=True)
class Citation:
    """Where something is said."""

    passage: str
    page: int | None


@dataclass(frozen=True)
class Link:
    """All edges from ``diagnosis`` to ``rival``.

    Attributes:
        weight: passages that compare the two in this direction; ``books``, how many books they are from.
        signs: sign that speaks for ``diagnosis`` -> passages that say so.
    """

    diagnosis: str
    rival: str
    weight: int
    books: int
    signs: Mapping[str, int]
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Ascription:
    """All rules on ``concept`` in ``diagnosis``: passages that affirm and deny it, and how many books they are from."""

    diagnosis: str
    concept: str
    weight: int
    denied: int
    books: int
    citations: tuple[Citation, ...]


def links(edges: Iterable[Edge], passages: Mapping[str, Passage]) -> list[Link]:
    """The differential graph, sorted; a passage counts once whatever the number of its entries."""
    groups: dict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        groups[edge.diagnosis, edge.rival].append(edge)
    return [_link(*key, groups[key], passages) for key in sorted(groups)]


def _link(diagnosis: str, rival: str, group: list[Edge], passages: Mapping[str, Passage]) -> Link:
    cited = _citations((edge.passage for edge in group), passages)
    said = {(sign, edge.passage) for edge in group for sign in edge.signs}
    signs = {sign: sum(sign == other for other, _ in said) for sign in sorted({sign for sign, _ in said})}
    return Link(diagnosis, rival, len(cited), _books(cited, passages), signs, cited)


def ascriptions(rules: Iterable[Rule], passages: Mapping[str, Passage]) -> list[Ascription]:
    """The rules, summed up by diagnosis and concept, sorted."""
    groups: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        groups[rule.diagnosis, rule.concept].append(rule)
    made = []
    for diagnosis, concept in sorted(groups):
        group = groups[diagnosis, concept]
        cited = _citations((rule.passage for rule in group), passages)
        denied = len({rule.passage for rule in group if rule.negated})
        made.append(Ascription(diagnosis, concept, len(cited) - denied, denied, _books(cited, passages), cited))
    return made


def _citations(ids: Iterable[str], passages: Mapping[str, Passage]) -> tuple[Citation, ...]:
    return tuple(Citation(key, passages[key].page) for key in sorted(set(ids)))


def _books(cited: Iterable[Citation], passages: Mapping[str, Passage]) -> int:
    return len({passages[citation.passage].source for citation in cited})
