"""Pictures and the words that belong to them: label, caption, legend, and the labels of sub-figures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from skinr1.stage import write_atomic

_NUMBER = r"(?:\d+(?:[.\-–]\d+)*[a-z]?|[ivxlc]+)\b"
_WORD = rf"(?:figs?|figures?|plates?|pl|abb)\s?\.?\s*{_NUMBER}\s*[.:]?"
_LABEL = re.compile(rf"{_WORD}(?:\s+(?:and\s+)?{_WORD})*", re.IGNORECASE)
_LONGEST_CAPTION = 6  # blocks

_LETTERS = r"[A-Za-z]{1,2}"
_BRACKETED = re.compile(rf"\(({_LETTERS}(?:\s*(?:,|and|[-–])\s*{_LETTERS})*)\)\s*([^()]+)")
_LISTED = re.compile(rf"((?:{_LETTERS}(?:,|\s+and)\s+)+)(\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """An embedded picture's file, or a reference to one that lies beside the book."""

    data: bytes = field(repr=False, default=b"")
    suffix: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture of a book.

    Attributes:
        caption: first paragraph of its words; ``source_text[start:end] == caption``. Empty where it has none.
        legend: the other paragraphs.
        parts: (label, text) of the sub-figures or the lettered details that the words explain.
        section: the chain of headings it stands under.
        image: file written for it, relative to the stage's folder, or the book's own reference.
    """

    id: str
    source: str
    label: str
    caption: str
    legend: str
    parts: tuple[tuple[str, str], ...]
    section: tuple[str, ...]
    page: int | None
    start: int
    end: int
    diagnoses: tuple[str, ...] = ()
    image: str = ""
    picture: Picture | None = field(default=None, compare=False, repr=False)


def figure_row(figure: Figure) -> dict[str, Any]:
    """What is written of a figure: all but the picture itself."""
    return {one.name: getattr(figure, one.name) for one in fields(figure) if one.name != "picture"}


def figure_of(row: Mapping[str, Any]) -> Figure:
    """The figure of a row that :func:`figure_row` made."""
    lists = {name: tuple(row[name]) for name in ("section", "diagnoses")}
    return Figure(**{**row, **lists, "parts": tuple((label, text) for label, text in row["parts"])})


def save_picture(figure: Figure, folder: Path) -> Figure:
    """Writes an embedded picture below ``folder``; the figure then names the file. Others keep the book's reference."""
    if figure.picture is None or not figure.picture.data:
        return figure
    name = f"figures/{figure.id.replace(':', '-')}{figure.picture.suffix}"
    write_atomic(folder / name, figure.picture.data)
    return replace(figure, image=name)


@dataclass(frozen=True)
class Float:
    """Indices of blocks that belong together; neighbouring pictures may share one caption."""

    pictures: tuple[int, ...]
    label: int | None
    caption: tuple[int, ...]

    @property
    def words(self) -> tuple[int, ...]:
        return self.caption if self.label is None else (self.label, *self.caption)


class _Block(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def apart(self) -> bool: ...
    @property
    def picture(self) -> Picture | None: ...


def is_label(text: str) -> bool:
    """Whether a paragraph is nothing but a figure's number."""
    return _LABEL.fullmatch(text.strip()) is not None


def floats(blocks: Sequence[_Block]) -> list[Float]:
    """Pictures with the label before or after them and the caption that follows, or else precedes, them."""
    found: list[Float] = []
    taken: set[int] = set()
    index = 0
    while index < len(blocks):
        if blocks[index].picture is None:
            index += 1
            continue
        end = index
        while end < len(blocks) and blocks[end].picture is not None:
            end += 1
        one = _float(blocks, index, end, taken)
        taken.update(one.words)
        found.append(one)
        index = end
    return found


def _float(blocks: Sequence[_Block], start: int, end: int, taken: set[int]) -> Float:
    pictures = tuple(range(start, end))
    before = start - 1 if start and start - 1 not in taken and not blocks[start - 1].level else None
    label = before if before is not None and is_label(blocks[before].text) else None
    if label is None and end < len(blocks) and is_label(blocks[end].text) and not _picture_at(blocks, end + 1):
        label = end
    caption = tuple(_below(blocks, end + (label == end)))
    if not caption and label is None and before is not None and _LABEL.match(blocks[before].text):
        caption = (before,)
    return Float(pictures, label, caption)


def _below(blocks: Sequence[_Block], start: int) -> Iterator[int]:
    """Blocks set apart right after a picture; a numbered caption may stand in the column of the text."""
    for index in range(start, min(start + _LONGEST_CAPTION, len(blocks))):
        block = blocks[index]
        numbered = index == start and _LABEL.match(block.text) is not None
        if block.picture is not None or block.level or is_label(block.text) or not (block.apart or numbered):
            return
        yield index


def _picture_at(blocks: Sequence[_Block], index: int) -> bool:
    return index < len(blocks) and blocks[index].picture is not None


def parts(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Sub-figures: ``(A) text (B) text`` anywhere, or paragraphs that list ``a, text; b, text``."""
    bracketed = [(m[1], m[2].strip(" ;,.")) for m in _BRACKETED.finditer(" ".join(words))]
    if bracketed and bracketed[0][0][0] in "aA":
        return tuple(bracketed)
    listed = []
    for paragraph in words:
        items = [_LISTED.fullmatch(item.strip()) for item in re.split(r"[;:](?:\s|$)", paragraph)]
        if sum(item is not None for item in items) >= 2:
            listed += [(item[1].strip(" ,"), item[2].strip(" ;,.")) for item in items if item]
    return tuple(listed)
