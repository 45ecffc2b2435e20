"""One reader per format: a source's text -> sections with character spans. All that follows is format-free."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Text under a heading.

    Attributes:
        path: the chain of headings, one a level; ``""`` where the book skips a level, empty before any heading.
        start, end: ``text == source[start:end]``, in characters.
        page: page of the source on which the text begins, if it has pages.
        synonyms: other names that the book gives for what the headings name.
    """

    path: tuple[str, ...]
    text: str
    start: int
    end: int
    page: int | None = None
    synonyms: tuple[str, ...] = ()


_SYNONYMS = re.compile(r"\(?\s*synonyms?\s*[:.—-]\s*(.+?)\.?\s*\)?", re.IGNORECASE | re.DOTALL)
_QUESTION = re.compile(
    r".*\?|(?:describe|give|state|name|mention|define|explain|list|enumerate)\b.*", re.IGNORECASE | re.DOTALL
)
_HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*$", re.MULTILINE)


def read_markdown(source: str) -> Iterator[Section]:
    """Sections of a Markdown book, in order; a heading without text of its own yields none."""
    headings = list(_HEADING.finditer(source))
    bounds = [*(heading.start() for heading in headings), len(source)]
    yield from _section((), source, 0, bounds[0])
    path: list[str] = []
    for heading, end in zip(headings, bounds[1:], strict=True):
        above = len(heading.group(1)) - 1
        path = [*[*path, *([""] * above)][:above], heading.group(2)]
        body = heading.end()
        asks = is_question(heading.group(2)) and source[body:end].strip()
        yield from _section(tuple(path), source, heading.start(2) if asks else body, end)


def _section(path: tuple[str, ...], source: str, start: int, end: int) -> Iterator[Section]:
    """The text between two headings without the blank space around it, unless it is all blank."""
    body = source[start:end]
    text = body.strip()
    if text:
        start += body.index(text)
        yield Section(path, text, start, start + len(text))


def is_question(heading: str) -> bool:
    """Whether a heading asks. What it asks is part of its section's text: the answer alone ("By its …") says little."""
    return _QUESTION.fullmatch(heading.strip()) is not None


def question_and_answer(text: str) -> tuple[str, str]:
    """The question a section's text begins with, or an empty string, and the rest."""
    first, _, rest = text.partition("\n")
    return (first, rest) if is_question(first) else ("", text)


def synonyms(text: str) -> tuple[str, ...]:
    """Names in a paragraph that consists of synonyms, ``(Synonyms: Blackheads; Flesh-worms.)``; else none."""
    found = _SYNONYMS.fullmatch(text.strip())
    return tuple(filter(None, (name.strip(" .") for name in re.split(r"[;,]", found[1])))) if found else ()
