"""Sections -> passages: the unit that is cited."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.sections import Section
from skinr1.taxonomy import Taxonomy

KINDS = ("definition", "morphology", "sites", "course", "differential")


@dataclass(frozen=True)
class Passage:
    """A citable piece of a book.

    Attributes:
        id: ``source:section#kind``, the form a report cites.
        diagnoses: sorted node ids its section is about.
        start, end: character span in the source; the source re-reads to ``text`` there.
    """

    id: str
    source: str
    section: str
    diagnoses: tuple[str, ...]
    kind: str
    text: str
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True)
class Unread:
    """Something the book says that could not be used, and why."""

    where: str
    reason: str


def slug(heading: str) -> str:
    """Lower-case ASCII words joined by hyphens."""
    ascii_text = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", ascii_text.lower()))[:80]


def passages(sections: Iterable[Section], source: str, taxonomy: Taxonomy) -> tuple[list[Passage], list[Unread]]:
    """Passages of the sections whose second-level heading names a diagnosis, and the headings that name none."""
    found: dict[str, Passage] = {}
    unread: list[Unread] = []
    for section in sections:
        if len(section.path) < 2:
            continue  # title matter
        name = section.path[1]
        try:
            diagnoses = tuple(sorted(taxonomy.resolve(name)))
        except UserError as error:
            unread.append(Unread(name, str(error)))
            continue
        last = section.path[-1].lower()
        kind = last if last in KINDS else "other"
        key = f"{source}:{slug(name)}#{slug(section.path[-1])[:40]}"
        if key in found:
            raise UserError("two sections of a book have one name", key, "Rename one of the headings.")
        found[key] = Passage(key, source, name, diagnoses, kind, section.text, section.start, section.end, section.page)
    return list(found.values()), unread
