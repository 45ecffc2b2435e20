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
        page: page of the source, if it has pages.
    """

    path: tuple[str, ...]
    text: str
    start: int
    end: int
    page: int | None = None


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
        yield from _section(tuple(path), source, heading.end(), end)


def _section(path: tuple[str, ...], source: str, start: int, end: int) -> Iterator[Section]:
    """The text between two headings without the blank space around it, unless it is all blank."""
    body = source[start:end]
    text = body.strip()
    if text:
        start += body.index(text)
        yield Section(path, text, start, start + len(text))
