"""A book's card: where it lies, its name in passage ids, its licence, and its own names for diagnoses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from skinr1.errors import UserError
from skinr1.knowledge.book import Book
from skinr1.knowledge.names import Aliases
from skinr1.knowledge.passages import slug
from skinr1.knowledge.primer import primer_book
from skinr1.knowledge.reading import read_book
from skinr1.taxonomy import Taxonomy

PRIMER = "primer"
UNSTATED = "unstated"
MAX_NAME = 40  # characters of a book's name that a report can cite


@dataclass(frozen=True)
class Card:
    """``path`` and ``aliases`` are relative to the working directory, as in every recipe; None is the primer."""

    name: str
    path: str | None
    licence: str = UNSTATED
    aliases: str | None = None

    @classmethod
    def read(cls, entry: str) -> "Card":
        """``primer``, a book's file, or YAML with ``path`` and, where wanted, ``name``, ``licence`` and ``aliases``.

        Raises:
            UserError: the card is missing, no YAML of that form, or its name cannot be cited.
        """
        if entry == PRIMER:
            return cls(PRIMER, None, "Apache-2.0")
        path = Path(entry)
        if path.suffix.lower() not in (".yaml", ".yml"):
            return cls(_name(path.stem, entry), entry)
        if not path.is_file():
            raise UserError("book's card not found", entry, "Correct the path.")
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"not YAML ({error})", entry, "Correct the file.") from None
        known = {key.name for key in fields(cls)}
        if not isinstance(document, dict) or not isinstance(document.get("path"), str):
            raise UserError("card without a `path`", entry, "Write `path: my_book.pdf`.")
        for key in sorted(set(map(str, document)) - known):
            raise UserError(f"unknown key {key!r}", entry, f"A book's card has {', '.join(sorted(known))}.")
        for key, value in document.items():
            if not isinstance(value, str):
                raise UserError(f"{key} is no text", entry, f"Write `{key}: text`.")
        return cls(**{**document, "name": _name(document.get("name", Path(document["path"]).stem), entry)})

    @property
    def where(self) -> str:
        return self.path or PRIMER

    @property
    def inputs(self) -> list[Path]:
        """Files that decide what is read."""
        return [Path(file) for file in (self.path, self.aliases) if file]

    def described(self) -> dict[str, str]:
        """The card without places, for a manifest."""
        return {"name": self.name, "file": Path(self.where).name, "licence": self.licence}

    def book(self, watch: Callable[[range], Iterable[int]] = iter) -> Book:
        """Raises UserError as :func:`skinr1.knowledge.reading.read_book` does."""
        return read_book(Path(self.path), self.name, watch) if self.path else primer_book()

    def names(self, taxonomy: Taxonomy) -> Aliases | None:
        """Raises UserError as :meth:`Aliases.load` does."""
        return Aliases.load(Path(self.aliases), taxonomy) if self.aliases else None


def _name(text: str, where: str) -> str:
    """A citable name; a title in no Latin letter is ``book``."""
    name = slug(text)[:MAX_NAME] or "book"
    if name == PRIMER:
        raise UserError("the name `primer` is the embedded book's", where, "Give another name.")
    return name
