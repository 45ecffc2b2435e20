"""Differential diagnosis told in sentences -> edges, and who each sign is said of.

A clause speaks of one disease: of the one that it names ("in psoriasis the scales are silvery"), of the other one where
it names it as the term of the comparison ("from psoriasis, by its …"), of the last rival named where it says "the
latter", and else of the disease the clause before it spoke of; the first of a paragraph, of the one that the question
asks about. A sign that a clause denies, or that two diseases share, speaks for nobody.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from skinr1.knowledge.names import Mention, Names
from skinr1.knowledge.rules import signs

_LIKENS = r"resembl\w+|mistak\w+|confound\w*|confused?|simulat\w+|not unlike|similar (?:to|in appearance to)"
_ALIKE = re.compile(rf"\b(?:{_LIKENS})\b", re.IGNORECASE)
_COMPARES = re.compile(rf"\b(?:{_LIKENS}|distinguish\w*|differentiat\w*|differs? from)\b", re.IGNORECASE)
_CLAUSE_ENDS = re.compile(r"[.;:?](?=\s|$)|,?\s+\b(?:while|whereas|but|although)\b", re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"(?<=[.;?!])\s+")
_TERM = re.compile(
    r"(?:\bfrom|\bthan|\bwith|\bas in|\bexclude|\bresembl\w+|\bunlike)(?:\s+[\w-]+){0,2}\s*$", re.IGNORECASE
)
_LIST = re.compile(r"[\s,]*(?:\b(?:and|or|the|with)\b[\s,]*)*")
_THESE = re.compile(r"\bthese(?: \w+){0,2} (?:diseases|conditions|affections|eruptions)\b", re.IGNORECASE)
_LATTER = re.compile(r"\bth(?:e|is) latter\b", re.IGNORECASE)


class Comparison(NamedTuple):
    """``signs`` speak for ``side`` against ``rival``."""

    side: frozenset[str]
    rival: frozenset[str]
    signs: tuple[str, ...]


@dataclass
class _Clause:
    text: str
    named: list[Mention] = field(default_factory=list)
    terms: list[Mention] = field(default_factory=list)


def comparisons(
    question: str, text: str, subject: frozenset[str], names: Names, before: Sequence[frozenset[str]] = ()
) -> list[Comparison]:
    """What a passage that compares ``subject`` with rivals says for either side.

    Every rival that the question or the text names gives a comparison for each side, with the signs said of that side:
    none where the passage names none that is in the vocabulary.

    Args:
        before: rivals of the passage before it, which "these several diseases" means.
    """
    asked = _clause(question, names)
    rivals = rivals_in(f"{question} {text}", subject, names)
    if not rivals and _THESE.search(question):
        rivals = list(before)
    said: dict[tuple[frozenset[str], frozenset[str]], dict[str, None]] = defaultdict(dict)
    for paragraph in text.split("\n\n"):
        holder, against = _asked_about(asked, subject), frozenset[frozenset[str]]()
        last: frozenset[str] | None = None
        for clause in (_clause(part, names) for part in _CLAUSE_ENDS.split(paragraph)):
            holder, against = _speaks_of(clause, subject, holder, against, last)
            last = next((m.nodes for m in (*clause.terms, *clause.named) if m.nodes in rivals), last)
            if holder == subject:
                for rival in against or rivals:
                    said[subject, rival] |= _shown(clause.text)
            elif holder in rivals:
                said[holder, subject] |= _shown(clause.text)
    forward = [Comparison(subject, rival, _decisive(said, subject, rival)) for rival in rivals]
    back = [Comparison(rival, subject, _decisive(said, rival, subject)) for rival in rivals]
    return forward + back


def _shown(clause: str) -> dict[str, None]:
    """Signs that a clause affirms, in order; none where it is about what is alike."""
    return {} if _ALIKE.search(clause) else {sign: None for sign, denied, _ in signs(clause) if not denied}


def _decisive(
    said: Mapping[tuple[frozenset[str], frozenset[str]], dict[str, None]], side: frozenset[str], rival: frozenset[str]
) -> tuple[str, ...]:
    """Signs said of one side only: one that is said of both decides nothing."""
    return tuple(sign for sign in said.get((side, rival), {}) if sign not in said.get((rival, side), {}))


def comparing_sentences(text: str) -> Iterator[str]:
    """Sentences of any passage that liken the disease to another one."""
    return (sentence for sentence in _SENTENCE_ENDS.split(text) if _COMPARES.search(sentence))


def rivals_in(sentence: str, subject: frozenset[str], names: Names) -> list[frozenset[str]]:
    """Diseases that a sentence names beside its subject."""
    named = dict.fromkeys(mention.nodes for mention in names.mentions(sentence) if mention.nodes)
    return [nodes for nodes in named if subject and not _same(nodes, subject)]


def _clause(text: str, names: Names) -> _Clause:
    clause = _Clause(text)
    for mention in names.mentions(text):
        between = text[clause.terms[-1].end : mention.start] if clause.terms else "."
        as_term = _TERM.search(text[: mention.start]) or _LIST.fullmatch(between)
        (clause.terms if as_term else clause.named).append(mention)
    return clause


def _asked_about(asked: _Clause, subject: frozenset[str]) -> frozenset[str]:
    """The first disease that a question is about: in "How does X differ from Y?" the answer begins with X."""
    return asked.named[0].nodes if asked.named and not _covers(asked.named[0].nodes, subject) else subject


def _speaks_of(
    clause: _Clause,
    subject: frozenset[str],
    holder: frozenset[str],
    against: frozenset[frozenset[str]],
    last: frozenset[str] | None,
) -> tuple[frozenset[str], frozenset[frozenset[str]]]:
    """Whom a clause speaks of, and the rivals it is limited to, empty for all.

    Nobody (an empty set) where it names both sides, or only a disease that is no node or no party to the comparison.
    """
    if last and _LATTER.search(clause.text):
        return last, frozenset()
    named = {subject if _covers(m.nodes, subject) else m.nodes for m in clause.named}
    terms = {m.nodes for m in clause.terms if m.nodes and not _same(m.nodes, subject)}
    if len(named) > 1:
        return frozenset(), frozenset()
    if named:
        only = next(iter(named))
        return only, frozenset(terms) if only == subject else frozenset()
    if terms:
        return subject, frozenset(terms)
    return holder, against


def _covers(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a name means a disease itself or a group of it; a subtype of it may be one of those compared."""
    return bool(one) and any(f"{b}/".startswith(f"{a}/") for a in one for b in other)


def _same(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two names stand on one branch of the tree: a disease is no rival of its own group or subtype."""
    return any(f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/") for a in one for b in other)
