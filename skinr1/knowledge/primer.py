"""The embedded textbook."""

from importlib.resources import files

from skinr1.knowledge.book import Book
from skinr1.knowledge.reading import markdown_book


def primer_text() -> str:
    """The embedded textbook as written."""
    return files("skinr1.knowledge").joinpath("primer.md").read_text(encoding="utf-8")


def primer_book() -> Book:
    """The embedded textbook as read."""
    return markdown_book(primer_text(), "primer")
