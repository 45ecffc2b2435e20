"""Blocks of any format -> a book: its source text, the sections that are spans of it, and its figures."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skinr1.knowledge.figures import Figure, Float, Picture, floats, parts
from skinr1.knowledge.sections import Section, is_question, synonyms

_FOOTNOTE_MARK = re.compile(r"\s*(?:\[\w{1,3}\]|[*†‡]+)$")
_SENTENCE_END = re.compile(r"[.?!:;][\"'”’)\]]*$")


@dataclass(frozen=True)
class Block:
    """A paragraph, heading or picture, in reading order; what every reader of a laid-out format yields.

    Attributes:
        level: rank of a heading, 1 the highest; 0 is no heading.
        apart: set apart from the running text, as captions are: centred, indented deeply, or under a picture.
    """

    text: str = ""
    level: int = 0
    apart: bool = False
    page: int | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Book:
    """What a reader makes of a file.

    Attributes:
        text: the source text that every span of sections and figures refers to.
        level: heading level that names diagnoses, 1 the highest; None: the level where most headings name one.
        skipped: reason -> count of what is in the file and not in ``text`` (running heads, page numbers).
        notes: (where, reason) of what could not be read.
    """

    source: str
    text: str
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...] = ()
    level: int | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()


def assemble(
    blocks: Sequence[Block], source: str, skipped: Mapping[str, int], notes: Iterable[tuple[str, str]] = ()
) -> Book:
    """Lays the blocks out as one text: what belongs to a figure follows the section it stands in."""
    made = _Text(source)
    found = floats(blocks)
    ranks = {level: rank for rank, level in enumerate(sorted({block.level for block in blocks} - {0}), 1)}
    taken = {index for one in found for index in one.words}
    starts = {one.pictures[0]: one for one in found}
    for index, block in enumerate(blocks):
        if block.level:
            made.heading(block, ranks[block.level])
        elif index in starts:
            made.waiting.append((starts[index], blocks))
        elif block.picture is None and index not in taken:
            made.paragraph(block)
    made.close()
    sections = tuple(_with_synonyms(made.sections))
    return Book(source, "".join(made.pieces), sections, tuple(made.figures), None, skipped, tuple(notes))


class _Text:
    """The source text while it grows."""

    def __init__(self, source: str):
        self.source = source
        self.pieces: list[str] = []
        self.size = 0
        self.path: tuple[str, ...] = ()
        self.question = ""
        self.running: list[str] = []
        self.page: int | None = None
        self.waiting: list[tuple[Float, Sequence[Block]]] = []
        self.sections: list[Section] = []
        self.figures: list[Figure] = []

    def add(self, text: str) -> tuple[int, int]:
        start = self.size
        self.pieces.append(text)
        self.size += len(text)
        return start, self.size

    def heading(self, block: Block, level: int) -> None:
        self.close()
        self.path = (*(*self.path, *([""] * level))[: level - 1], _heading(block.text))
        if is_question(block.text):
            self.question, self.page = f"{block.text}\n\n", block.page
        else:
            self.add(f"{block.text}\n\n")

    def paragraph(self, block: Block) -> None:
        """A page or a figure may have torn a sentence: then the halves are joined again."""
        if self.running:
            torn = block.text[:1].islower() and not _SENTENCE_END.search(self.running[-1])
            self.running.append(" " if torn else "\n\n")
        elif not self.question:
            self.page = block.page
        self.running.append(block.text)

    def close(self) -> None:
        """Ends a section: its text with the question it answers, then the words of its figures."""
        start, end = self.add(self.question + "".join(self.running))
        if self.running:
            self.sections.append(Section(self.path, "".join(self.pieces[-1:]), start, end, self.page))
        if end > start:
            self.add("\n\n")
        for one, blocks in self.waiting:
            self._figures(one, blocks)
        self.question, self.running, self.waiting = "", [], []

    def _figures(self, one: Float, blocks: Sequence[Block]) -> None:
        label = blocks[one.label].text if one.label is not None else ""
        words = [blocks[index].text for index in one.caption]
        if label:
            self.add(f"{label}\n")
        start, end = self.add(words[0] if words else "")
        legend = " ".join(words[1:])
        self.add(f"\n{legend}\n\n" if legend else "\n\n")
        for index in one.pictures:
            picture = blocks[index].picture or Picture()
            number = len(self.figures) + 1
            self.figures.append(
                Figure(
                    id=f"{self.source}:figure-{number:03}",
                    source=self.source,
                    label=label,
                    caption=words[0] if words else "",
                    legend=legend,
                    parts=parts(words),
                    section=tuple(filter(None, self.path)),
                    page=blocks[index].page,
                    start=start,
                    end=end,
                    image=picture.reference,
                    picture=picture,
                )
            )


def _heading(text: str) -> str:
    """A heading without its footnote mark and full stop."""
    return _FOOTNOTE_MARK.sub("", text.strip()).strip().removesuffix(".").strip()


def _with_synonyms(sections: Sequence[Section]) -> Iterator[Section]:
    """Names given under a heading belong to all that stands under it."""
    given = {section.path: names for section in sections if (names := synonyms(section.text.partition("\n\n")[0]))}
    for section in sections:
        names = next((given[p] for n in range(len(section.path), 0, -1) if (p := section.path[:n]) in given), ())
        yield replace(section, synonyms=names)
