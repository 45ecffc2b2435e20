"""Passages -> diagnostic rules: which sign the book ascribes to, or denies of, a diagnosis, and how often."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skinr1.concepts import mentioned
from skinr1.knowledge.passages import Passage

_DENIES = re.compile(r"\b(no|not|never|without|absent|lacks?)\b", re.IGNORECASE)
_IN_CLAUSE = re.compile(r"\b(sometimes|occasionally|rarely)\b", re.IGNORECASE)
_IN_SENTENCE = re.compile(r"\b(may|can)\b", re.IGNORECASE)
_OFTEN = re.compile(r"\b(often|frequent|frequently)\b", re.IGNORECASE)
RULE_KINDS = ("morphology", "course")


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
            for concept, negated, frequency in signs(passage.text):
                for diagnosis in passage.diagnoses:
                    key = (diagnosis, concept, passage.id)
                    made.setdefault(key, Rule(diagnosis, concept, passage.id, negated, frequency))
    return list(made.values())


def signs(text: str) -> Iterator[tuple[str, bool, str]]:
    """(concept, denied, frequency) of every mention.

    A denial reaches to the end of its clause; ``sometimes`` qualifies its clause, ``may`` its sentence.
    """
    for sentence in re.split(r"[.;](?:\s|$)", text):
        possible = _IN_SENTENCE.search(sentence)
        often = _OFTEN.search(sentence)
        for clause in sentence.split(","):
            occasional = _IN_CLAUSE.search(clause)
            qualifier = occasional or possible or often
            frequency = qualifier.group(1).lower() if qualifier else "typical"
            denial = _DENIES.search(clause)
            before, after = (clause[: denial.start()], clause[denial.end() :]) if denial else (clause, "")
            for concept in mentioned(before):
                yield concept, False, frequency
            for concept in mentioned(after):
                yield concept, True, frequency
