"""The visible-only filter: which sentences say what an image cannot show.

It reads words, not meaning, and errs towards refusing: a sentence that only mentions a biopsy is refused like one that
reports it. What a sentence cites is the book's and not the image's, and is left to the grounding check.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from skinr1.concepts import concept
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.findings import HISTORY
from skinr1.trajectories.reading import Sentence, sentences

# Stems, each up to the end of the word; the first kind that matches names the reason.
_KINDS = {
    "test result": """
        biops histolog histopatholog patholog microscop laborator serolog titre titer culture cultured smear
        PCR KOH swab antibod immunofluoresc genetic mutation blood\\ test x-ray ultrasound scan\\b stain(?:ed|ing)?\\b
    """,
    "outcome": """
        prognos surviv metasta recur relaps heal(?:s|ed|ing)?\\b resolv self-limit outcome mortal fatal lethal
        will\\b would\\ become likely\\ to\\ become complication
    """,
    "treatment": """
        treat therap medic drug\\b drugs\\b steroid antibiotic antifungal antiviral excis surg cryo laser ointment cream
        respond(?:s|ed|ing)?\\b
    """,
    "touch": """
        palpa touch tender firm\\b firmly hard\\b soft\\b rubbery warm\\b cool\\b mobile\\b fixed\\ to painless painful
        blanch
    """,
    "history": """
        histor complain report(?:s|ed|ing)?\\b told year month week day\\b days\\b hour since\\b ago\\b onset previous
        prior\\b earlier former recently gradual sudden rapid enlarg grew\\b grow(?:s|n|ing)?\\b progress spread
        chang(?:e|es|ed|ing)\\b itch prurit pain\\b sore\\b burn(?:s|ing)?\\b sting bleed family hereditary inherit
        exposure exposed trauma injur travel contact allerg smok occupation
    """,
}
_PATTERNS = {
    kind: re.compile(r"\b(?:" + "|".join(re.split(r"(?<!\\)\s+", stems.strip())) + r")", re.IGNORECASE)
    for kind, stems in _KINDS.items()
}


@dataclass(frozen=True)
class Unseeable:
    """A sentence that an image cannot show, and of which kind it is."""

    sentence: str
    kind: str


def unseeable(text: str, taxonomy: Taxonomy, told: Collection[str] = ()) -> list[Unseeable]:
    """The sentences of a text that no image can show, in order.

    Args:
        told: complaints that the case records; they may be repeated.
    """
    found = ((sentence, _kind(sentence, frozenset(told))) for sentence in sentences(text, taxonomy))
    return [Unseeable(sentence.text, kind) for sentence, kind in found if kind]


def without_unseeable(text: str, taxonomy: Taxonomy) -> tuple[str, list[Unseeable]]:
    """The text without the sentences that no image can show, and those sentences."""
    kept, removed = [], []
    for sentence in sentences(text, taxonomy):
        kind = _kind(sentence, frozenset())
        if kind:
            removed.append(Unseeable(sentence.text, kind))
        else:
            kept.append(sentence.text)
    return " ".join(kept), removed


def _kind(sentence: Sentence, told: frozenset[str]) -> str | None:
    if any(clause.passages for clause in sentence.clauses):
        return None
    complaints = {s.concept for clause in sentence.clauses for s in clause.signs if concept(s.concept).group == HISTORY}
    if complaints - told:
        return "history"
    words = sentence.text.lower()
    for name in sorted((n for c in complaints for n in (c, *concept(c).aliases)), key=len, reverse=True):
        words = words.replace(name, "")
    if complaints:
        words = re.sub(r"\b(?:histor\w*|complain\w*|report\w*|told)\b", "", words)
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(words)), None)
