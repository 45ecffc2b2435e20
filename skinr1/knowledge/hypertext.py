"""HTML -> book, with Beautiful Soup (MIT)."""

import re
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag
from bs4.element import PreformattedString

from skinr1.errors import UserError
from skinr1.knowledge.book import Block, Book, assemble
from skinr1.knowledge.figures import Picture, is_label
from skinr1.knowledge.typography import LONGEST_HEADING

_BLOCKS = re.compile(
    r"p|div|pre|li|d[dtl]|t[dhr]|table|[uo]l|blockquote|section|article|figure|figcaption|caption|hr|body"
    r"|header|footer|main|aside|nav|center|h[1-6]"
).fullmatch
_SKIPPED = frozenset(("head", "script", "style", "template"))
_HEADING = re.compile(r"h([1-6])").fullmatch
_BOLD_PARAGRAPH = 7  # ranks below every heading element
_APART = re.compile(r"center|caption|fig(?:left|right|ure)?\b|right", re.IGNORECASE)
_PAGE_MARK = re.compile(r"page-?(?:num(?:ber)?|no|break)", re.IGNORECASE)


def read_html(path: Path, source: str) -> Book:
    """Reads headings, paragraphs, figures and the page marks that digitised books carry.

    Raises:
        UserError: the file is missing or holds no text.
    """
    if not path.is_file():
        raise UserError("book not found", str(path), "Correct the path.")
    soup = BeautifulSoup(path.read_bytes(), "html.parser")
    walk = _Walk()
    walk.visit(soup)
    walk.flush()
    if not any(block.text for block in walk.blocks):
        raise UserError("HTML holds no text", str(path), "Save the page with its content.")
    return assemble(walk.blocks, source, {"page marks": walk.marks} if walk.marks else {})


class _Walk:
    """Document order; a paragraph is the text between two borders of block elements."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.marks = 0
        self._page: int | None = None
        self._first_page: int | None = None
        self._text: list[str] = []
        self._bold = 0
        self._level = 0
        self._apart = False

    def visit(self, node: Tag) -> None:
        for child in node.children:
            if isinstance(child, Tag):
                self._element(child)
            elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                self._words(str(child))

    def flush(self) -> None:
        text = " ".join("".join(self._text).split())
        if text:
            stressed = self._bold > 0.8 * len(re.sub(r"\s", "", text)) and len(text) <= LONGEST_HEADING
            as_heading = stressed and not self._apart and not is_label(text)
            level = self._level or (_BOLD_PARAGRAPH if as_heading else 0)
            self.blocks.append(Block(text, level, self._apart and not level, self._first_page))
        self._text, self._bold = [], 0

    def _words(self, text: str) -> None:
        if text.strip() and not "".join(self._text).strip():
            self._first_page = self._page
        self._text.append(text)

    def _element(self, element: Tag) -> None:
        if element.name in _SKIPPED:
            return
        if _is_page_mark(element):
            self._mark(element)
        elif element.name == "img":
            self.flush()
            self.blocks.append(Block(page=self._page, picture=Picture(reference=str(element.get("src") or ""))))
        elif element.name == "br":
            self._words(" ")
        elif _BLOCKS(element.name):
            self._block(element)
        else:
            before = len(re.sub(r"\s", "", "".join(self._text)))
            self.visit(element)
            if element.name in ("b", "strong") and element.find_parent(("b", "strong")) is None:
                self._bold += len(re.sub(r"\s", "", "".join(self._text))) - before

    def _block(self, element: Tag) -> None:
        self.flush()
        outer = self._level, self._apart
        if heading := _HEADING(element.name):
            self._level = int(heading[1])
        self._apart = self._apart or element.name in ("figcaption", "center") or _is_apart(element)
        self.visit(element)
        self.flush()
        self._level, self._apart = outer

    def _mark(self, element: Tag) -> None:
        if number := re.search(r"\d+", element.get_text() or " ".join(map(str, element.attrs.values()))):
            self.marks += 1
            self._page = int(number[0])


def _is_apart(element: Tag) -> bool:
    style = re.search(r"text-align:\s*(\w+)", str(element.get("style") or ""))
    names = [*element.get_attribute_list("class"), element.get("align"), style[1] if style else None]
    return any(_APART.search(str(name)) for name in names if name)


def _is_page_mark(element: Tag) -> bool:
    names = [*element.get_attribute_list("class"), element.get("epub:type"), element.get("role")]
    return any(_PAGE_MARK.search(str(name)) for name in names if name)
