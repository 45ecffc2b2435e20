"""One reader per format: a source's text -> sections with character spans. All that follows is format-free."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Text under a heading. ``path`` is the chain of headings; ``text == source[start:end]``; page, if it has any."""

    path: tuple[str, ...]
    text: str
    start: int
    end: int
    page: int | None = None


_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*$", re.MULTILINE)


def read_markdown(source: str) -> Iterator[Section]:
    """Sections of a Markdown book, in order; a heading without text of its own yields none."""
    headings = list(_HEADING.finditer(source))
    path: list[str] = []
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        level = len(heading.group(1))
        path = [*path[: level - 1], heading.group(2)]
        body_end = following.start() if following else len(source)
        body = source[heading.end() : body_end]
        text = body.strip()
        if text:
            start = heading.end() + body.index(text)
            yield Section(tuple(path), text, start, start + len(text))
