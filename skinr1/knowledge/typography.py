"""Lines as printed -> blocks: what is a heading, a paragraph, a caption or a running head, by layout alone."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from skinr1.knowledge.book import Block
from skinr1.knowledge.figures import Picture, is_label

LARGER = 1.08  # of the body's size: a heading for its size alone
AS_LARGE = 0.95
LONGEST_HEADING = 300  # characters; longer text in large or bold type is text
REPEATED = 0.03  # share of the pages on which a running head recurs, and at least three of them
DEEP_INDENT = 0.3  # of the column's width


@dataclass(frozen=True)
class Line:
    """A line of print; lengths in points, ``top`` and ``bottom`` from the page's upper edge."""

    text: str
    page: int
    x0: float
    x1: float
    top: float
    bottom: float
    size: float
    bold: bool


@dataclass(frozen=True)
class Placed:
    """A picture on its page, in points."""

    picture: Picture
    page: int
    x0: float
    x1: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Setting:
    """The body type of a book and its columns (left, right), measured on all lines."""

    size: float
    columns: tuple[tuple[float, float], ...]
    gap: float

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "Setting":
        """Raises ValueError without lines."""
        plain = [line for line in lines if not line.bold] or list(lines)
        sizes: Counter[float] = Counter()
        for line in plain:
            sizes[line.size] += len(line.text)
        size = max(sizes, key=lambda s: (sizes[s], s))
        body = [line for line in plain if line.size == size]
        gaps = Counter(round(b.top - a.bottom, 1) for a, b in pairwise(body) if a.page == b.page and b.top > a.top)
        return cls(size, tuple(_columns(body)), max(gaps, key=lambda g: (gaps[g], -g)) if gaps else 0.0)

    @cached_property
    def _page(self) -> tuple[float, float]:
        return self.columns[0][0], self.columns[-1][1]

    def column(self, line: Line) -> tuple[float, float]:
        """The column a line stands in; the whole width where it spans several."""
        middle = (line.x0 + line.x1) / 2
        around = [c for c in self.columns if c[0] <= middle <= c[1] and line.x1 <= c[1] + self.size]
        return around[0] if around else self._page

    def apart(self, line: Line) -> bool:
        """Centred in its column, or indented deeply; a full line of running text starts at the column's edge."""
        left, right = self.column(line)
        indent = line.x0 - left
        centred = abs((line.x0 + line.x1) - (left + right)) < 0.02 * (right - left) and indent > 0.25 * self.size
        return centred or indent > DEEP_INDENT * (right - left)

    def outside(self, line: Line) -> bool:
        """In the margin beside all columns."""
        left, right = self._page
        return line.x0 >= right - 1 or line.x1 <= left + 1


def _columns(body: Sequence[Line]) -> Iterator[tuple[float, float]]:
    """Left edges that many lines share, a fifth of the widest line apart, each with the edge its lines reach."""
    width = max(line.x1 - line.x0 for line in body)
    edges = Counter(round(line.x0) for line in body)
    lefts: list[int] = []
    for edge, count in sorted(edges.items(), key=lambda item: (-item[1], item[0])):
        if count >= 0.15 * len(body) and all(abs(edge - other) > 0.2 * width for other in lefts):
            lefts.append(edge)
    lefts = sorted(lefts or [min(edges)])
    for left, end in zip(lefts, [*lefts[1:], float("inf")], strict=True):
        reach = sorted(line.x1 for line in body if left - 2 <= line.x0 < end)
        yield float(left), reach[int(0.95 * (len(reach) - 1))]


def furniture(lines: Sequence[Line], setting: Setting, pages: int) -> set[Line]:
    """Running heads, feet and marginal numbers: what recurs, but for its digits, at a page's edge or in its margin.

    A figure's number at a page's foot is none: its picture stands at the head of the next one.
    """
    edge = set()
    for _, group in groupby(lines, key=lambda line: line.page):
        inner = list(group)
        edge |= {min(inner, key=lambda line: line.top), max(inner, key=lambda line: line.bottom)}
        edge |= {line for line in inner if setting.outside(line)}
    edge = {line for line in edge if not is_label(line.text)}
    recurs = Counter(_without_digits(line.text) for line in edge)
    enough = max(3, REPEATED * pages)
    return {line for line in edge if recurs[_without_digits(line.text)] >= enough}


def _without_digits(text: str) -> str:
    return "#" if re.fullmatch(r"[ivxlc]+", text.strip().lower()) else re.sub(r"\d+", "#", text.strip())


def to_blocks(lines: Sequence[Line], pictures: Sequence[Placed], setting: Setting) -> list[Block]:
    """Blocks in reading order, headings ranked by size, weight and case."""
    paragraphs = list(_paragraphs(_in_order(lines, pictures), setting))
    styles = sorted({_style(p, setting) for p in paragraphs if isinstance(p, list)} - {None}, reverse=True)  # type: ignore[type-var]
    levels = {style: rank for rank, style in enumerate(styles, 1)}
    words = _Words(line.text for line in lines)
    blocks: list[Block] = []
    above: Placed | None = None
    for paragraph in paragraphs:
        if isinstance(paragraph, Placed):
            blocks.append(Block(page=paragraph.page, picture=paragraph.picture))
            above = paragraph
            continue
        beneath = above is not None and _beneath(paragraph[0], above, setting)
        style = None if beneath and paragraph[0].size < LARGER * setting.size else _style(paragraph, setting)
        apart = style is None and (beneath or all(setting.apart(line) for line in paragraph))
        blocks.append(Block(words.join(paragraph), levels[style] if style else 0, apart, paragraph[0].page))
        above = above if apart else None
    return blocks


def _in_order(lines: Sequence[Line], pictures: Sequence[Placed]) -> Iterator[Line | Placed]:
    """A picture follows the last line above it in its column; else it precedes the first line below it."""
    waiting: dict[int, list[Placed]] = {}
    for placed in pictures:
        near = [i for i, line in enumerate(lines) if line.page == placed.page and _overlap(line, placed)]
        over = [i for i in near if lines[i].bottom <= placed.top + 2]
        under = [i for i in near if lines[i].top >= placed.bottom - 2]
        later = [i for i, line in enumerate(lines) if line.page > placed.page]
        place = over[-1] + 1 if over else (under or later or [len(lines)])[0]
        waiting.setdefault(place, []).append(placed)
    for index in range(len(lines) + 1):
        yield from sorted(waiting.get(index, []), key=lambda p: (p.page, p.top, p.x0))
        yield from lines[index : index + 1]


def _overlap(line: Line, placed: Placed) -> bool:
    return min(line.x1, placed.x1) - max(line.x0, placed.x0) > 0


def _beneath(line: Line, above: Placed, setting: Setting) -> bool:
    """Right under a picture, and no wider than it or set apart."""
    left, right = setting.column(line)
    inside = line.x0 >= above.x0 - setting.size and line.x1 <= above.x1 + setting.size
    narrow = above.x1 - above.x0 < 0.9 * (right - left) and inside
    near = line.page == above.page and -2 <= line.top - above.bottom < 3 * setting.size
    return near and (narrow or setting.apart(line))


def _paragraphs(items: Iterable[Line | Placed], setting: Setting) -> Iterator[list[Line] | Placed]:
    current: list[Line] = []
    for item in items:
        if current and (isinstance(item, Placed) or not _continues(current[-1], item, setting)):
            yield current
            current = []
        if isinstance(item, Placed):
            yield item
        else:
            current.append(item)
    if current:
        yield current


def _continues(above: Line, line: Line, setting: Setting) -> bool:
    """Same type, next line, no first-line indent; a figure's number always stands alone."""
    if (above.size, above.bold) != (line.size, line.bold) or setting.apart(above) != setting.apart(line):
        return False
    if above.page != line.page or line.top < above.top or is_label(above.text) or is_label(line.text):
        return False
    left = setting.column(line)[0]
    indented = not setting.apart(line) and line.x0 - left > 0.8 * setting.size and above.x0 - left <= 0.8 * setting.size
    scale = max(line.size / setting.size, 1)
    return line.top - above.bottom <= (setting.gap + 0.35 * setting.size) * scale and not indented


Style = tuple[float, bool, bool]


def _style(paragraph: list[Line] | Placed, setting: Setting) -> Style | None:
    """(size, bold, capitals) of a heading; None for anything else."""
    if isinstance(paragraph, Placed):
        return None
    text = " ".join(line.text for line in paragraph)
    first = paragraph[0]
    if len(text) > LONGEST_HEADING or is_label(text) or not re.search(r"[^\W\d_]{2}", text):
        return None
    capitals = text.upper() == text and all(setting.apart(line) for line in paragraph)
    large = first.size >= LARGER * setting.size
    stressed = first.size >= AS_LARGE * setting.size and (first.bold or capitals)
    return (first.size, first.bold, capitals and not large) if large or stressed else None


class _Words:
    """Joins lines; a hyphen at a line's end stays where the book writes the word with it elsewhere."""

    def __init__(self, lines: Iterable[str]):
        self._whole = {word.lower() for line in lines for word in re.findall(r"[\w-]+", line)}

    def join(self, lines: Sequence[Line]) -> str:
        text = lines[0].text.strip()
        for line in lines[1:]:
            following = line.text.strip()
            broken = re.search(r"([\w-]+)-$", text)
            rest = re.match(r"[a-zà-ÿœ]\w*", following)
            if not broken or not rest:
                text = f"{text} {following}"
            elif f"{broken[1]}-{rest[0]}".lower() in self._whole:
                text += following
            else:
                text = text[:-1] + following
        return " ".join(text.split())
