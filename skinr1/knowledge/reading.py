"""A book's file -> Book, by its format."""

from collections.abc import Callable, Iterable
from pathlib import Path

from skinr1.errors import UserError
from skinr1.knowledge.book import Book
from skinr1.knowledge.hypertext import read_html
from skinr1.knowledge.pdf import read_pdf
from skinr1.knowledge.records import read_records
from skinr1.knowledge.sections import read_markdown

FORMATS = (".md", ".markdown", ".pdf", ".html", ".htm", ".xhtml", ".jsonl")


def read_book(path: Path, source: str, watch: Callable[[range], Iterable[int]] = iter) -> Book:
    """Reads Markdown, PDF, HTML or MedQuAD's JSON lines, told apart by the file's suffix.

    Args:
        source: the book's name in passage ids, at most 40 characters of ``a-z0-9_.-``.
        watch: wraps the range of a PDF's page indices, e.g. in a progress bar.

    Raises:
        UserError: the file is missing, of another format, or its reader refuses it.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"no reader for {suffix or 'a file without suffix'}", str(path), f"Use {', '.join(FORMATS)}.")
    if not path.is_file():
        raise UserError("book not found", str(path), "Correct the path.")
    if suffix == ".pdf":
        return read_pdf(path, source, watch)
    if suffix == ".jsonl":
        return read_records(path, source)
    return markdown_book(_text(path), source) if suffix in (".md", ".markdown") else read_html(path, source)


def markdown_book(text: str, source: str) -> Book:
    """A Markdown book, whose second-level headings name diagnoses; its source text is the file itself."""
    return Book(source, text, tuple(read_markdown(text)), level=2)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"book is not UTF-8 text ({error.reason})", str(path), "Save it as UTF-8.") from None
