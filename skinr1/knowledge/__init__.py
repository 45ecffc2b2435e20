"""What textbooks say: passages to cite, figures, rules, and the differential graph."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from skinr1.errors import UserError
from skinr1.knowledge.book import Book
from skinr1.knowledge.differential import Edge, edges
from skinr1.knowledge.figures import Figure, figure_of, figure_row
from skinr1.knowledge.graph import Ascription, Link, ascriptions, links
from skinr1.knowledge.names import Aliases, Names, spoken_forms
from skinr1.knowledge.passages import Passage, Unread, passages, subject, subject_level
from skinr1.knowledge.primer import primer_book, primer_text
from skinr1.knowledge.reading import read_book
from skinr1.knowledge.rules import Rule, rules
from skinr1.knowledge.sections import Section, read_markdown
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy

__all__ = [
    "Aliases",
    "Book",
    "Edge",
    "Figure",
    "Knowledge",
    "Names",
    "Passage",
    "Rule",
    "Section",
    "Unread",
    "primer_text",
    "read_book",
    "read_markdown",
]

PASSAGES, RULES, EDGES, FIGURES = "passages.jsonl", "rules.jsonl", "differentials.jsonl", "figures.jsonl"


@dataclass(frozen=True)
class Knowledge:
    """Passages of one book or several by id, their rules, edges and figures, and what could not be used."""

    passages: dict[str, Passage]
    rules: tuple[Rule, ...]
    edges: tuple[Edge, ...]
    unread: tuple[Unread, ...] = field(default=())
    figures: tuple[Figure, ...] = field(default=())

    @classmethod
    def from_book(cls, book: Book, taxonomy: Taxonomy, aliases: Aliases | None = None) -> "Knowledge":
        """The one path from any format's book to knowledge."""
        names = Names(taxonomy, aliases)
        level = book.level or subject_level(book.sections, names)
        names.learn(_own_names(book.sections, level, names))
        found, unknown = passages(book.sections, book.source, names, level)
        graph, unresolved = edges(found, names)
        notes = (Unread(where, reason) for where, reason in book.notes)
        shown = tuple(_with_diagnoses(book.figures, found))
        by_id = {passage.id: passage for passage in found}
        return cls(by_id, tuple(rules(found)), tuple(graph), (*notes, *unknown, *unresolved), shown)

    @classmethod
    def from_sections(cls, sections: Iterable[Section], source: str, taxonomy: Taxonomy) -> "Knowledge":
        """Knowledge of sections whose second-level headings name diagnoses."""
        return cls.from_book(Book(source, "", tuple(sections), level=2), taxonomy)

    @classmethod
    def primer(cls, taxonomy: Taxonomy) -> "Knowledge":
        """The embedded textbook."""
        return cls.from_book(primer_book(), taxonomy)

    @classmethod
    def merge(cls, books: Iterable["Knowledge"]) -> "Knowledge":
        """All books together; every passage, rule and edge stays, see :meth:`graph` for their sums.

        Raises:
            UserError: two books have the same name.
        """
        merged = cls({}, (), ())
        for book in books:
            if twice := {p.source for p in merged.passages.values()} & {p.source for p in book.passages.values()}:
                raise UserError("two books of the same name", ", ".join(sorted(twice)), "Name one of them otherwise.")
            merged = cls(
                {**merged.passages, **book.passages},
                merged.rules + book.rules,
                merged.edges + book.edges,
                merged.unread + book.unread,
                merged.figures + book.figures,
            )
        return merged

    @classmethod
    def load(cls, folder: Path) -> "Knowledge":
        """What :meth:`save` wrote. Raises UserError when a file is missing."""
        found = [Passage(**{**row, "diagnoses": tuple(row["diagnoses"])}) for row in read_jsonl(folder / PASSAGES)]
        made = tuple(Rule(**row) for row in read_jsonl(folder / RULES))
        graph = tuple(Edge(**{**row, "signs": tuple(row["signs"])}) for row in read_jsonl(folder / EDGES))
        shown = tuple(map(figure_of, read_jsonl(folder / FIGURES))) if (folder / FIGURES).is_file() else ()
        return cls({passage.id: passage for passage in found}, made, graph, figures=shown)

    def save(self, folder: Path) -> None:
        """Writes passages.jsonl, rules.jsonl, differentials.jsonl and figures.jsonl."""
        write_jsonl(folder / PASSAGES, (asdict(passage) for passage in self.passages.values()))
        write_jsonl(folder / RULES, (asdict(rule) for rule in self.rules))
        write_jsonl(folder / EDGES, (asdict(edge) for edge in self.edges))
        write_jsonl(folder / FIGURES, map(figure_row, self.figures))

    def rivals(self) -> dict[str, set[str]]:
        """Node -> its neighbours in the differential graph, whichever of the two a passage is about."""
        found: dict[str, set[str]] = {}
        for edge in self.edges:
            found.setdefault(edge.diagnosis, set()).add(edge.rival)
            found.setdefault(edge.rival, set()).add(edge.diagnosis)
        return found

    def graph(self) -> list[Link]:
        """The weighted differential graph over all books."""
        return links(self.edges, self.passages)

    def ascriptions(self) -> list[Ascription]:
        """Weighted rules over all books: how many passages affirm, and how many deny, a sign of a diagnosis."""
        return ascriptions(self.rules, self.passages)

    def rules_of(self, diagnosis: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.diagnosis == diagnosis]

    def rivals_of(self, diagnosis: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.diagnosis == diagnosis]

    def passages_of(self, diagnosis: str, kind: str | None = None) -> list[Passage]:
        return [p for p in self.passages.values() if diagnosis in p.diagnoses and kind in (None, p.kind)]


def _own_names(sections: Iterable[Section], level: int, names: Names) -> dict[str, frozenset[str]]:
    """Headings and synonyms under which the book's own text may speak of its diagnoses."""
    own = {(name, section.synonyms) for section in sections if (name := subject(section, level))}
    return {
        form: names.resolve(name, others)
        for name, others in sorted(own)
        if names.knows(name, others)
        for form in (*others, *spoken_forms(name))
    }


def _with_diagnoses(figures: Iterable[Figure], found: Iterable[Passage]) -> Iterator[Figure]:
    """A figure is of the diagnosis that the innermost known heading above it names."""
    known = {passage.section: passage.diagnoses for passage in found}
    for figure in figures:
        headings = (known[heading] for heading in reversed(figure.section) if heading in known)
        yield replace(figure, diagnoses=next(headings, ()))
