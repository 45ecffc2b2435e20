"""Differential passages -> edges: which rival, and which sign decides for the subject."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.kinds import DIFFERENTIAL
from skinr1.knowledge.names import Names
from skinr1.knowledge.passages import Passage, Unread
from skinr1.knowledge.prose import Comparison, comparing_sentences, comparisons, rivals_in
from skinr1.knowledge.rules import signs
from skinr1.knowledge.sections import question_and_answer

# A list item reaches to the next one or to a blank line: books wrap their lines.
_ITEM = re.compile(r"^[ \t]*[-*+][ \t]+(.+?)(?=\n[ \t]*[-*+][ \t]|\n[ \t]*\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Edge:
    """``signs`` speak for ``diagnosis`` against ``rival``, says ``passage``; empty where it names none we know."""

    diagnosis: str
    rival: str
    signs: tuple[str, ...]
    passage: str


def edges(found: Iterable[Passage], names: Names) -> tuple[list[Edge], list[Unread]]:
    """Edges of the passages, and what could not be used: rivals no node is known for, a comparison with nobody.

    A differential passage is a list of ``- Rival: signs`` entries, in which the part up to the first semicolon is about
    the subject and the rest about the rival, or it is told in sentences, which compare two diseases in both directions.
    Sentences of other passages that liken the disease to another one give edges without signs: what is alike decides
    nothing.
    """
    made: list[Edge] = []
    unread: list[Unread] = []
    section, before = "", list[frozenset[str]]()
    for passage in found:
        if passage.section != section:
            section, before = passage.section, []
        if passage.kind != DIFFERENTIAL:
            made += _likened(passage, names)
            continue
        items = [" ".join(item.split()) for item in _ITEM.findall(passage.text)]
        for item in items:
            try:
                made += _entry(item, passage, names, unread)
            except UserError as error:
                unread.append(Unread(passage.id, str(error)))
        if not items:
            subject = frozenset(passage.diagnoses)
            told = _told(passage, names, before)
            before = list(dict.fromkeys(one.rival for one in told if one.side == subject)) or before
            made += [edge for one in told for edge in _edges(one.side, one.rival, one.signs, passage)]
            if not told and passage.diagnoses:
                unread.append(Unread(passage.id, "no list of rivals (- Name: signs), and no sentence names one"))
    return list(dict.fromkeys(made)), unread


def _entry(item: str, passage: Passage, names: Names, unread: list[Unread]) -> Iterator[Edge]:
    """Raises UserError when the entry names no rival, or one that no node is known for."""
    name, colon, text = item.partition(":")
    if not colon:
        raise UserError("entry without a colon", repr(item[:60]), "Write `- Name: signs`.")
    rivals = sorted(names.resolve(name.strip()))
    decisive = tuple(dict.fromkeys(sign for sign, denied, _ in signs(text.partition(";")[0]) if not denied))
    if not decisive:
        unread.append(Unread(passage.id, f"no known sign decides against {name.strip()!r}"))
    for node in passage.diagnoses:
        yield from (Edge(node, rival, decisive, passage.id) for rival in rivals if rival != node)
        if node in rivals:
            unread.append(Unread(passage.id, f"{name.strip()!r} is its own rival"))


def _told(passage: Passage, names: Names, before: Sequence[frozenset[str]]) -> list[Comparison]:
    question, answer = question_and_answer(passage.text)
    return comparisons(question, answer, frozenset(passage.diagnoses), names, before)


def _likened(passage: Passage, names: Names) -> Iterator[Edge]:
    subject = frozenset(passage.diagnoses)
    for sentence in comparing_sentences(question_and_answer(passage.text)[1]):
        for rival in rivals_in(sentence, subject, names):
            yield from _edges(subject, rival, (), passage)
            yield from _edges(rival, subject, (), passage)


def _edges(side: frozenset[str], rival: frozenset[str], decisive: tuple[str, ...], passage: Passage) -> Iterator[Edge]:
    return (Edge(node, other, decisive, passage.id) for node in sorted(side) for other in sorted(rival))
