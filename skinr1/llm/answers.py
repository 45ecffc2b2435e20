"""The one place that reads what a model wrote freely: a description, a rationale, a reworded sentence, a verdict.

Text only, strictly: what is cut off, empty, too long, marked up, or not in the expected form is an
:class:`~skinr1.report.InvalidAnswer` with a reason. Reports are read by :mod:`skinr1.report` and nowhere else.
"""

import json
import re
from typing import Any

from skinr1.llm.cache import Completion
from skinr1.report import InvalidAnswer

MAX_NAME = 120
JUDGEMENTS = ("supported", "contradicted", "unsupported")
# Letters of any script may pass: words outside the vocabulary are the grounding check's to refuse.
_PROSE = re.compile(r"[^\W_\x00-\x1f]|[ .,;:()\[\]'’\"/%+#_!?°–—-]")
_LIST_OR_HEADING = re.compile(r"(?m)^\s*(?:[-*+•>#|]|\d+[.)]\s)")


def prose(answer: Completion, longest: int) -> str:
    """Plain sentences on one line.

    Args:
        longest: characters allowed.

    Raises:
        InvalidAnswer: with reason ``cut off``, ``unfinished``, ``empty``, ``too long`` or ``not plain text``.
    """
    _finished(answer)
    if _LIST_OR_HEADING.search(answer.text):
        raise InvalidAnswer("not plain text", "a list, heading or quotation")
    text = " ".join(answer.text.split())
    if not text:
        raise InvalidAnswer("empty")
    if len(text) > longest:
        raise InvalidAnswer("too long", f"{len(text)} characters; at most {longest}")
    odd = sorted(set(_PROSE.sub("", text)))
    if odd:
        raise InvalidAnswer("not plain text", f"holds {' '.join(f'U+{ord(sign):04X}' for sign in odd[:5])}")
    return text


def verdict(answer: Completion) -> str:
    """The name in ``{"diagnosis": "…"}``, which must be the whole answer.

    Raises:
        InvalidAnswer: with reason ``cut off``, ``unfinished`` or ``no verdict``.
    """
    name = _only(answer, "diagnosis")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise InvalidAnswer("no verdict", f"diagnosis is no text of 1 to {MAX_NAME} characters")
    return " ".join(name.split())


def judgements(answer: Completion, count: int) -> tuple[str, ...]:
    """The list in ``{"verdicts": [...]}``, which must be the whole answer: ``count`` of :data:`JUDGEMENTS`.

    Raises:
        InvalidAnswer: with reason ``cut off``, ``unfinished`` or ``no verdict``.
    """
    found = _only(answer, "verdicts")
    if not isinstance(found, list) or len(found) != count or any(verdict not in JUDGEMENTS for verdict in found):
        raise InvalidAnswer("no verdict", f"verdicts are not {count} of {', '.join(JUDGEMENTS)}")
    return tuple(found)


def _only(answer: Completion, key: str) -> Any:
    """The value of a finished answer that is a JSON object with this one key."""
    _finished(answer)
    try:
        # Pairs instead of a dict: a key that occurs twice is seen.
        found = json.loads(answer.text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise InvalidAnswer("no verdict", "not JSON") from None
    if not (isinstance(found, tuple) and len(found) == 1 and found[0][0] == key):
        raise InvalidAnswer("no verdict", f"not one object with the key {key}")
    return found[0][1]


def _finished(answer: Completion) -> None:
    if answer.finish_reason == "length":
        raise InvalidAnswer("cut off", "reached the token limit")
    if answer.finish_reason != "stop":
        raise InvalidAnswer("unfinished", "stopped for another reason than its end")
