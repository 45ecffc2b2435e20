"""Passages -> diagnostic rules: which sign the book ascribes to, or denies of, a diagnosis, and how often."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from skinr1.concepts import mentioned, mentions
from skinr1.knowledge.passages import Passage
from skinr1.knowledge.sections import question_and_answer

RULE_KINDS = ("morphology", "course")

_SENTENCES = re.compile(r"[.;](?:\s|$)")
_CLAUSES = re.compile(r",|\b(?:but|although|though|whereas|however)\b", re.IGNORECASE)
_DENIES_NEXT = re.compile(
    r"\b(?:no|without|absent|absence of|free (?:of|from)|devoid of|lack(?:s|ing)?|never"
    r"|not(?! (?:only|always|typical|usual|common)\b))\b",
    re.IGNORECASE,
)
_DENIES_PREVIOUS = re.compile(
    r"\b(?:(?:is|are|remains?)(?: \w+ly)? (?:absent|missing|lacking)"
    r"|(?:is|are) (?:not|never) (?:seen|present|found|visible)"
    r"|do(?:es)? not (?:occur|appear)|never (?:occurs?|appears?))\b",
    re.IGNORECASE,
)
# The first words of the two above, wherever they stand, even inside of another: the quickest to look for.
_MAY_DENY = ("without", "absen", "free", "devoid", "lack", "never", "missing")
_NO_OR_NOT = re.compile(r"not?\b")
# What a bare item of a list ("no scale, crust or ulcer") does not contain.
_NOT_BARE = re.compile(r"\b(?:an?|the|with|of|is|are|has|have|shows?|there|it|may|can|\w+ly|often|sometimes)\b")
_IN_CLAUSE = {
    "sometimes": r"sometimes|not always",
    "occasionally": r"occasional|occasionally",
    "rarely": r"rarely|rare|seldom|uncommon|unusual|not (?:typical|usual|common)",
}
_IN_SENTENCE = re.compile(r"\b(may|can)\b", re.IGNORECASE)
_OFTEN = re.compile(r"\b(often|frequent|frequently)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """``frequency`` is the book's qualifier: typical where it gives none, else often, sometimes, rarely, may …"""

    diagnosis: str
    concept: str
    passage: str
    negated: bool
    frequency: str


def rules(found: Iterable[Passage]) -> list[Rule]:
    """Rules of the morphology and course passages, in order; the first mention of a sign in a passage counts."""
    made: dict[tuple[str, str, str], Rule] = {}
    for passage in found:
        if passage.kind in RULE_KINDS:
            for concept, negated, frequency in signs(question_and_answer(passage.text)[1]):
                for diagnosis in passage.diagnoses:
                    key = (diagnosis, concept, passage.id)
                    made.setdefault(key, Rule(diagnosis, concept, passage.id, negated, frequency))
    return list(made.values())


def signs(text: str) -> Iterator[tuple[str, bool, str]]:
    """(concept, denied, frequency) of every mention.

    A denial reaches to the end of its clause or list, or back over the clause where it follows the sign
    ("scale is absent"); ``sometimes`` qualifies its clause, ``may`` and ``often`` their sentence.
    """
    for sentence in _SENTENCES.split(" ".join(text.split())):
        hedge = _IN_SENTENCE.search(sentence) or _OFTEN.search(sentence)
        usual = hedge.group(1).lower() if hedge else "typical"
        clauses = _CLAUSES.split(sentence)
        for clause, (start, end) in zip(clauses, _denied(clauses), strict=True):
            frequency = _occasional(clause) or usual
            if start == end:
                for name in mentioned(clause):
                    yield name, False, frequency
            else:
                parts = ((clause[:start], False), (clause[start:end], True), (clause[end:], False))
                yield from ((name, denied, frequency) for part, denied in parts for name in mentioned(part))


def assertions(text: str) -> Iterator[str]:
    """Every mention of a concept that is not denied, one by one: who has found what he looks for need not read on."""
    if _may_deny(text):
        yield from (concept for concept, denied, _ in signs(text) if not denied)
    else:  # most texts: nothing to take apart
        yield from mentions(text)


def _may_deny(text: str) -> bool:
    folded = text.casefold().replace("black", "")  # which lacks nothing
    return any(word in folded for word in _MAY_DENY) or _NO_OR_NOT.search(folded) is not None


def asserted(text: str) -> set[str]:
    """Concepts that a text mentions somewhere without denying them."""
    return set(assertions(text))


@lru_cache(maxsize=4096)  # completions, trajectories and books say the same clauses
def _occasional(clause: str) -> str | None:
    found = (word for word, forms in _IN_CLAUSE.items() if re.search(rf"\b(?:{forms})\b", clause, re.IGNORECASE))
    return next(found, None)


def _denied(clauses: list[str]) -> list[tuple[int, int]]:
    """The denied span of each clause; (0, 0) denies nothing."""
    spans = [_span(clause) for clause in clauses]
    if all(start == end for start, end in spans):
        return spans
    for index, (start, end) in enumerate(list(spans)):
        if start == end:
            continue
        step = 1 if start else -1  # a denial at work backwards begins at the clause's first character
        for other in _list_items(clauses, spans, index, step):
            spans[other] = (0, len(clauses[other]))
    return spans


@lru_cache(maxsize=4096)
def _span(clause: str) -> tuple[int, int]:
    if previous := _DENIES_PREVIOUS.search(clause):
        return 0, previous.start()
    following = _DENIES_NEXT.search(clause)
    return (following.end(), len(clause)) if following else (0, 0)


def _list_items(clauses: list[str], spans: list[tuple[int, int]], index: int, step: int) -> list[int]:
    """Neighbouring clauses that are items of the denied list: bare, and joined by a conjunction at its end."""
    run: list[int] = []
    other = index + step
    while 0 <= other < len(clauses) and spans[other] == (0, 0) and not _NOT_BARE.search(clauses[other].lower()):
        run.append(other)
        other += step
    joint, words = (r"\b(?:or|nor)\b", clauses[run[-1]]) if step > 0 and run else (r"\b(?:and|or)\b", clauses[index])
    return run if re.search(joint, words) else []
