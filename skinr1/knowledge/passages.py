"""Sections -> passages: the unit that is cited."""

import re
import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.sections import Section
from skinr1.taxonomy import Taxonomy

KINDS = ("definition", "morphology", "sites", "course", "differential")
MAX_KIND = 40  # characters of the part after "#" that a report can cite


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
    """Passages of the sections whose second-level heading names a diagnosis, and the sections that could not be used.

    Only the book's opening, before its first second-level heading, is passed over without a remark.
    """
    found: dict[str, Passage] = {}
    unread: list[Unread] = []
    opening = True
    for section in sections:
        name = section.path[1] if len(section.path) > 1 else ""
        opening = opening and not name
        if opening:
            continue
        try:
            diagnoses = _diagnoses(name, taxonomy)
        except UserError as error:
            unread.append(Unread(" > ".join(filter(None, section.path)), str(error)))
            continue
        last = section.path[-1].lower()
        kind = last if last in KINDS else "other"
        key = _free(f"{source}:{slug(name)}", slug(section.path[-1])[:MAX_KIND] or "text", found)
        found[key] = Passage(key, source, name, diagnoses, kind, section.text, section.start, section.end, section.page)
    return list(found.values()), unread


def _diagnoses(name: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    if not name:
        raise UserError("text under no second-level heading", "it is about no diagnosis", "Put it under one (## Name).")
    return tuple(sorted(taxonomy.resolve(name)))


def _free(section: str, part: str, taken: Container[str]) -> str:
    """The first free id: a book may repeat a heading, and none of its text is lost for that."""
    names = (part, *(f"{part[: MAX_KIND - 4]}-{number}" for number in range(2, 1000)))
    return next(key for key in (f"{section}#{name}" for name in names) if key not in taken)
