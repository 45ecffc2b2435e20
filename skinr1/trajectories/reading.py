"""Free text -> sentences, clauses, and in each the diagnoses, signs and passages it names.

The reader of the textbook (:func:`skinr1.knowledge.rules.signs`) also reads the trajectories: what counts as denied or
hedged is one matter for both. Nothing here knows the case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from skinr1.concepts import concepts
from skinr1.knowledge.rules import signs
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.model import SentenceType
from skinr1.trajectories.steps import CITATION
from skinr1.trajectories.words import AGAINST, CHECKLIST, CONCLUDES, CONSIDERS, INFERS

_SENTENCE = re.compile(r"(?:\[[^\]\n]*\]|[^.!?\[\n]|[.!?](?!\s|$)|\[)+[.!?]*")
_CLAUSE = re.compile(r"(?:\[[^\]]*\]|[^;])+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]+)?")
_NEGATION = re.compile(r"\b(?:no|not|without|absent|absence|lack(?:s|ing)?|never|neither|free|missing)\b")
# Spellings of denial that the textbook's reader does not know, in ones that it does.
_SPELT = (
    (re.compile(r"\b(?:can't|cannot|(?:does|is|are)n't)\b"), "not"),
    (re.compile(r"\bneither\b"), "no"),
    (re.compile(r"\bnor\b"), ", no"),
    (re.compile(r"\b(?:rather than|instead of)\b"), "without"),
)
_DENIES_NAME = re.compile(
    r"\b(?:no|not|without|never|neither|nor|absent|cannot|unlikely|unlike|exclude[sd]?|against|over|than|instead of)\b"
    r"|n't\b"
)
# Abbreviations of diagnoses that are words or units as well name a diagnosis in capitals only: "6 mm", "an ulcer".
_CAPITALS_ONLY = frozenset(["ad", "am", "an", "em", "ich", "let", "mac", "mis", "mm", "pan", "ten", "ups"])
_LATE = re.compile(r"\b(?:not|never)\b(?! (?:only|always|typical|usual|common)\b)")


@dataclass(frozen=True)
class Sign:
    """A sign that a clause names; ``frequency`` as in :class:`skinr1.knowledge.Rule`."""

    concept: str
    denied: bool
    frequency: str


@dataclass(frozen=True)
class Clause:
    """A part of a sentence between semicolons.

    Attributes:
        names: diagnoses in order, each as (text, the nodes so named).
        denied: the texts of those that a denial or a contrast precedes: "not melanoma", "rather than a nevus".
        signs: each sign as read, in order.
        cited: (passage, signs that it is cited for), in order; uncited signs come with None.
        words: all other words; numbers among them.
        sequence: every word in order, citations left out.
    """

    names: tuple[tuple[str, frozenset[str]], ...]
    denied: frozenset[str]
    signs: tuple[Sign, ...]
    cited: tuple[tuple[str | None, tuple[str, ...]], ...]
    words: frozenset[str]
    sequence: str

    @cached_property
    def passages(self) -> tuple[str, ...]:
        return tuple(passage for passage, _ in self.cited if passage is not None)


@dataclass(frozen=True)
class Sentence:
    """``text[start:end]`` of what was read."""

    start: int
    end: int
    text: str
    clauses: tuple[Clause, ...]
    type: SentenceType


@lru_cache(maxsize=4096)
def sentences(text: str, taxonomy: Taxonomy) -> tuple[Sentence, ...]:
    """The sentences of a text, typed. Cached: a trajectory is read when it is checked and again when it is listed."""
    found = []
    for match in _SENTENCE.finditer(text):
        words = match.group().strip()
        if words:
            start = match.start() + match.group().index(words[0])
            found.append(Sentence(start, start + len(words), words, *_understood(words, taxonomy)))
    return tuple(found)


def diagnoses_named(text: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Names and aliases of diagnoses in a text, as written there; a sign of the same name is a sign."""
    return tuple(
        name for sentence in sentences(text, taxonomy) for clause in sentence.clauses for name, _ in clause.names
    )


@lru_cache(maxsize=50_000)
def _understood(sentence: str, taxonomy: Taxonomy) -> tuple[tuple[Clause, ...], SentenceType]:
    """Cached, since textbooks and templates repeat themselves from case to case."""
    parts = _CLAUSE.findall(sentence) or [sentence]
    clauses = tuple(_read(part, taxonomy) for part in parts)
    return clauses, _type(clauses)


def _type(clauses: tuple[Clause, ...]) -> SentenceType:
    """Observation: no diagnosis, no passage. Knowledge: a passage on a diagnosis, nothing of this case."""
    words = frozenset().union(*(clause.words for clause in clauses))
    names = any(clause.names for clause in clauses)
    cites = any(clause.passages for clause in clauses)
    if not names and not cites:
        return "inference" if words & (CONSIDERS | AGAINST | CONCLUDES | {CHECKLIST}) else "observation"
    return "knowledge" if names and cites and not words & INFERS else "inference"


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    term: str | frozenset[str]  # a concept's name, or the nodes of a diagnosis


def _read(text: str, taxonomy: Taxonomy) -> Clause:
    low = "".join(lower if len(lower := letter.lower()) == 1 else letter for letter in text)  # of the same length
    citations = list(CITATION.finditer(low))
    for match in citations:
        low = low[: match.start()] + " " * len(match.group()) + low[match.end() :]
    words = list(_WORD.finditer(low))
    small = {w.start() for w in words if w.group() in _CAPITALS_ONLY and not text[w.start() : w.end()].isupper()}
    spans = [span for span in _spans(words, taxonomy) if span.start not in small or isinstance(span.term, str)]
    plain, at = "", 0
    for span in spans:  # a diagnosis is hidden from the reader of signs, a synonym becomes the sign's name
        plain += low[at : span.start] + (span.term if isinstance(span.term, str) else "\u00b7")
        at = span.end
    plain += low[at:]
    covered = {at for span in spans for at in range(span.start, span.end)}
    return Clause(
        denied=frozenset(_denied(low, [s for s in spans if not isinstance(s.term, str)])),
        names=tuple((low[s.start : s.end], s.term) for s in spans if not isinstance(s.term, str)),
        signs=tuple(dict.fromkeys(Sign(*sign) for sign in signs(_normalised(plain)))),
        cited=_cited([(m.start(), m.group(1)) for m in citations], [s for s in spans if isinstance(s.term, str)]),
        words=frozenset(word.group() for word in words if word.start() not in covered),
        sequence=" ".join(word.group() for word in words),
    )


def _denied(low: str, found: list[_Span]) -> Iterator[str]:
    """A denial reaches from the last comma or diagnosis to the next diagnosis."""
    at = 0
    for span in found:
        if _DENIES_NAME.search(low[at : span.start].rpartition(",")[2]):
            yield low[span.start : span.end]
        at = span.end


def _normalised(plain: str) -> str:
    """Denials spelt as the textbook's reader knows them; "not seen: a, b" denies both, "a could not be made out" a."""
    for pattern, known in _SPELT:
        plain = pattern.sub(known, plain)
    head, colon, tail = plain.partition(":")
    if colon and _NEGATION.search(head) and not list(signs(head)):
        return ",".join(part if _NEGATION.search(part) else f" no {part}" for part in tail.split(","))
    return ",".join(map(_late_denial, plain.split(",")))


def _late_denial(part: str) -> str:
    """A denial with nothing left to deny after it denies what is before it."""
    found = _LATE.search(part)
    if found and not list(signs(part[found.end() :])) and list(signs(part[: found.start()])):
        return f"{part[: found.start()]} is absent"
    return part


def _cited(citations: list[tuple[int, str]], found: list[_Span]) -> tuple[tuple[str | None, tuple[str, ...]], ...]:
    """Which signs each passage stands for: those after it, or, where none follows the last one, those before it."""
    starts = [at for at, _ in citations]
    leads = bool(starts) and any(span.start > starts[-1] for span in found)
    groups: dict[int | None, list[str]] = {None: [], **{at: [] for at in starts}}
    for span in found:
        behind = [at for at in starts if at < span.start]
        ahead = [at for at in starts if at > span.start]
        owner = (behind[-1] if behind else None) if leads else (ahead[0] if ahead else None)
        groups[owner].append(str(span.term))
    passages = dict(citations)
    cited = [(None if at is None else passages[at], tuple(names)) for at, names in groups.items()]
    return tuple((passage, names) for passage, names in cited if passage is not None or names)


def _spans(words: list[re.Match[str]], taxonomy: Taxonomy) -> list[_Span]:
    """Signs and diagnoses, longest first, from left to right."""
    lexicon = _lexicon(taxonomy)
    spans, at = [], 0
    while at < len(words):
        for length, terms in lexicon.get(_singular(words[at].group()), ()):
            key = tuple(_singular(word.group()) for word in words[at : at + length])
            if key in terms:
                spans.append(_Span(words[at].start(), words[at + length - 1].end(), terms[key]))
                at += length
                break
        else:
            at += 1
    return spans


_Terms = dict[tuple[str, ...], str | frozenset[str]]


@lru_cache(maxsize=4)
def _lexicon(taxonomy: Taxonomy) -> dict[str, list[tuple[int, _Terms]]]:
    """First word -> (number of words, terms of so many words), longest first. A sign's name is no diagnosis."""
    named: dict[tuple[str, ...], set[str]] = {}
    for node in taxonomy.nodes.values():
        for name in (node.name, *node.aliases):
            named.setdefault(_key(name), set()).add(node.id)
    terms: _Terms = {key: frozenset(nodes) for key, nodes in named.items() if key}
    terms |= {_key(name): entry.name for entry in concepts().values() for name in (entry.name, *entry.aliases)}
    lexicon: dict[str, dict[int, _Terms]] = {}
    for key, term in terms.items():
        lexicon.setdefault(key[0], {}).setdefault(len(key), {})[key] = term
    return {first: sorted(by_length.items(), reverse=True) for first, by_length in lexicon.items()}


def _key(name: str) -> tuple[str, ...]:
    return tuple(_singular(word.group()) for word in _WORD.finditer(name.lower()))


def _singular(word: str) -> str:
    """A crude stem, the same on both sides: plaques and plaque meet, and so do scales and scale."""
    return word.removesuffix("es").removesuffix("e").removesuffix("s") if len(word) > 3 else word
