"""Sections -> passages: the unit that is cited."""

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from skinr1.errors import UserError
from skinr1.knowledge.kinds import NAMES, OTHER, kind_of
from skinr1.knowledge.names import LIGATURES, Names
from skinr1.knowledge.sections import Section, is_question, synonyms

MAX_KIND = 40  # characters of the part after "#" that a report can cite


@dataclass(frozen=True)
class Passage:
    """A citable piece of a book.

    Attributes:
        id: ``source:section#kind``, the form a report cites.
        diagnoses: sorted node ids its section is about; empty where the book's alias file says that it is no node.
        kind: definition, morphology, sites, course, differential …, see kinds.yaml; ``names`` for a list of synonyms,
            ``other`` for the rest.
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
    ascii_text = unicodedata.normalize("NFKD", heading.translate(LIGATURES)).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", ascii_text.lower()))[:80]


def passages(
    sections: Iterable[Section], source: str, names: Names, level: int = 2
) -> tuple[list[Passage], list[Unread]]:
    """Passages of the sections whose heading of rank ``level`` names a diagnosis, and the sections that cannot be used.

    Only the book's opening, before its first heading of that rank, is passed over without a remark.
    """
    found: dict[str, Passage] = {}
    unread: list[Unread] = []
    opening = True
    for section in sections:
        name = subject(section, level)
        opening = opening and not name
        if opening:
            continue
        try:
            diagnoses = _diagnoses(name, section, names)
        except UserError as error:
            unread.append(Unread(" > ".join(filter(None, section.path)), str(error)))
            continue
        no_node = Unread(" > ".join(filter(None, section.path[:level])), f"no node: {names.why_none(name)}")
        if not diagnoses and no_node not in unread:  # once for all passages of the disease, which stay citable
            unread.append(no_node)
        kind = _kind(section, level)
        part = kind if kind != OTHER else slug(section.path[-1])[:MAX_KIND] or "text"
        if len(section.path) > level and is_question(section.path[-1]):
            diagnoses = _narrowed(diagnoses, section.path[-1], names)
        key = _free(f"{source}:{slug(name)}", part, found)
        found[key] = Passage(key, source, name, diagnoses, kind, section.text, section.start, section.end, section.page)
    return list(found.values()), unread


def subject(section: Section, level: int) -> str:
    """The heading of rank ``level`` that a section stands under, or an empty string."""
    return section.path[level - 1] if len(section.path) >= level else ""


def subject_level(sections: Iterable[Section], names: Names) -> int:
    """The rank of heading that most often names a diagnosis, the highest of equals; 2 where none does."""
    headings = {section.path[:rank] for section in sections for rank in _ranks(section)}
    votes = Counter(len(path) for path in headings if names.knows(path[-1]))
    return min(votes, key=lambda rank: (-votes[rank], rank), default=2)


def _ranks(section: Section) -> Iterator[int]:
    return (rank for rank, heading in enumerate(section.path, 1) if heading)


def _kind(section: Section, level: int) -> str:
    """A section's last heading says what it is about; right under the diagnosis, a list of synonyms does."""
    if len(section.path) > level:
        return kind_of(section.path[-1])
    return NAMES if synonyms(section.text) else OTHER


def _diagnoses(name: str, section: Section, names: Names) -> tuple[str, ...]:
    if not name:
        raise UserError("text under no second-level heading", "it is about no diagnosis", "Put it under one (## Name).")
    return tuple(sorted(names.resolve(name, section.synonyms)))


def _narrowed(diagnoses: tuple[str, ...], question: str, names: Names) -> tuple[str, ...]:
    """The subtype that a question first names ("ringworm of the scalp"), else what the section is about."""
    first = next((mention.nodes for mention in names.mentions(question)), frozenset())
    return tuple(sorted(n for n in first if any(n.startswith(f"{group}/") for group in diagnoses))) or diagnoses


def _free(section: str, part: str, taken: Container[str]) -> str:
    """The first free id: a book may repeat a heading, and none of its text is lost for that."""
    names = (part, *(f"{part[: MAX_KIND - 4]}-{number}" for number in range(2, 1000)))
    return next(key for key in (f"{section}#{name}" for name in names) if key not in taken)
