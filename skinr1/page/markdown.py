"""The page as Markdown: the same words and numbers; drawings are left out, their tables are not."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skinr1.page.content import Section, Table
from skinr1.page.gallery import Exhibit, Reply

_SPECIAL = re.compile(r"([\\`*_\[\]#|~])")


def plain(text: object) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    line = " ".join(str(text).split())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(sign, entity)
    return _SPECIAL.sub(r"\\\1", line)


def markdown(content: Mapping[str, Any]) -> str:
    """Everything on the page, escaped so that no name and no model text is read as markup."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {plain(content['title'])}"
    yield from ("", "**Research software, not a medical device.** Nothing here is medical advice.")
    if content["rendered"]:
        yield from ("", f"**{content['rendered']} cases are rendered, not clinical: drawn by a program.**")
    for section in content["sections"]:
        yield from section_lines(section)
    if content["errors"]:
        yield from ("", f"## Worst errors of {plain(content['runs'][-1].name)}", "")
        for exhibit in content["errors"]:
            yield from _exhibit(exhibit)
    yield from ("", "## Gallery", "")
    for exhibit in content["exhibits"]:
        yield from _exhibit(exhibit)
    taxonomy = content["taxonomy"]
    yield from ("", f"Made by skinr1 from saved predictions; taxonomy {plain(taxonomy.version)} ({taxonomy.hash}).")


def section_lines(section: Section, depth: int = 2) -> Iterator[str]:
    """A section and its parts, with headings from ``depth`` on."""
    yield from ("", f"{'#' * depth} {plain(section.title)}")
    for text in section.text:
        yield from ("", plain(text))
    if section.absent:
        yield from ("", f"*{plain(section.absent)}*")
    if section.points:
        yield ""
        yield from (f"- {plain(point)}" for point in section.points)
    for table in section.tables:
        yield from table_lines(table)
    for plot in section.plots:
        yield from ("", f"**{plain(plot.title)}.** {plain(plot.words)}")
        yield from table_lines(plot.table)
    if section.pictures:
        yield ""
        yield from (f"- {plain(picture.words)}" for picture in section.pictures)
    for part in section.parts:
        yield from section_lines(part, min(depth + 1, 6))


def table_lines(table: Table) -> Iterator[str]:
    """A caption and a table."""
    yield from ("", f"*{plain(table.caption)}*", "")
    yield f"| {' | '.join(map(plain, table.head))} |"
    yield f"| --- |{' ---: |' * (len(table.head) - 1 - table.worded)}{' --- |' * table.worded}"
    for row in table.rows:
        yield f"| {' | '.join(map(plain, row))} |"


def _exhibit(exhibit: Exhibit) -> Iterator[str]:
    facts = f"{plain(exhibit.case_id)}; {plain(exhibit.condition)}, skin tone {plain(exhibit.skin_tone)}"
    yield f"- **{plain(exhibit.names)}** ({facts})"
    yield from (f"    - {line}" for reply in exhibit.replies for line in _reply(reply, exhibit.replies))


def _reply(reply: Reply, replies: Sequence[Reply]) -> Iterator[str]:
    who = f"{plain(reply.model)} " if len(replies) > 1 else ""
    said = plain(reply.diagnosis or reply.problem)
    yield f"{who}{reply.mark.sign} {reply.mark.word}: {said}"
    if reply.error:
        yield plain(reply.error)
    if reply.thinking:
        yield f"reasoning: {plain(reply.thinking)}"
