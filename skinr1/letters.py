"""The letter of an answer in the format of the published Skin-R1 benchmarks: read strictly, and as it was released.

The format is ``<thinking>…</thinking> <final diagnosis>A</final diagnosis>``. :mod:`skinr1.answer_forms` turns what
is read here into a report.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from skinr1.report import InvalidAnswer
from skinr1.taxonomy import Bucket

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Skin-R1's bucket of precancerous lesions in situ is our indeterminate one.
CONDITION_LETTERS: Final = {"A": Bucket.BENIGN, "B": Bucket.MALIGNANT, "C": Bucket.INDETERMINATE}
CONDITION_WORDS: Final = {"A": "benign", "B": "malignant", "C": "precancerous in situ"}
_TAG = "final diagnosis"
_OPEN, _CLOSE = re.compile(f"<{_TAG}>", re.IGNORECASE), re.compile(f"</{_TAG}>", re.IGNORECASE)
_STRICT_LETTER = re.compile(r"\(?([A-Z])\)?(?:\s*[:.)]\s*(.*))?", re.DOTALL)
# The released `[:\(\s]*([A-K])[:\)\s]*` finds the same letter, in time that grows with the square of a run of spaces.
_RELEASED_LETTER = re.compile("[A-K]", re.IGNORECASE)


def final_letter(body: str, names: Sequence[str]) -> str:
    """The one letter in the one final diagnosis: ``B``, ``(B)``, ``B: nevus``; words after it must be its option.

    Args:
        names: of the options, in the order of their letters.

    Raises:
        InvalidAnswer: with reason ``letter``, or ``option`` for a letter beyond them.
    """
    found = list(_final(body))
    match = _STRICT_LETTER.fullmatch(found[0].strip()) if len(found) == 1 else None
    if match is None:
        raise InvalidAnswer("letter", f"not one letter in one <{_TAG}>")
    place = LETTERS.index(match[1])
    if place >= len(names):
        raise InvalidAnswer("option", f"{match[1]} of {len(names)}")
    words = (match[2] or "").strip().rstrip(".").lower()
    if words not in ("", names[place].lower()):
        raise InvalidAnswer("letter", f"{match[1]} is not {words[:40]!r}")
    return match[1]


def released_letter(text: str) -> str:
    """The letter that the released evaluation of Skin-R1 reads, faults and all; ``Z`` where it finds none.

    The first of A to K in the first ``<final diagnosis>``, in whatever word: "Melanoma" is E, "benign" is B. Source:
    its ``test_performance.py``; never used but to say what the published number would have been.
    """
    match = _RELEASED_LETTER.search(next(_final(text), ""))
    return match[0].upper() if match else "Z"


def _final(text: str) -> Iterator[str]:
    """What stands in each final diagnosis that is closed; every character is looked at once, whatever the text."""
    at = 0
    while (opened := _OPEN.search(text, at)) and (closed := _CLOSE.search(text, opened.end())):
        yield text[opened.end() : closed.start()]
        at = closed.end()
