"""What the textbook says: passages to cite, rules, and the differential graph."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from skinr1.knowledge.differential import Edge, edges
from skinr1.knowledge.passages import Passage, Unread, passages
from skinr1.knowledge.rules import Rule, rules
from skinr1.knowledge.sections import Section, read_markdown
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy

__all__ = ["Edge", "Knowledge", "Passage", "Rule", "Section", "Unread", "primer_text", "read_markdown"]

PASSAGES, RULES, EDGES = "passages.jsonl", "rules.jsonl", "differentials.jsonl"


@dataclass(frozen=True)
class Knowledge:
    """A book's passages by id, its rules and edges, and what could not be used."""

    passages: dict[str, Passage]
    rules: tuple[Rule, ...]
    edges: tuple[Edge, ...]
    unread: tuple[Unread, ...] = field(default=())

    @classmethod
    def from_sections(cls, sections: Iterator[Section], source: str, taxonomy: Taxonomy) -> "Knowledge":
        """The one path from any format's sections to knowledge."""
        found, unknown = passages(sections, source, taxonomy)
        graph, unresolved = edges(found, taxonomy)
        return cls(
            {passage.id: passage for passage in found}, tuple(rules(found)), tuple(graph), (*unknown, *unresolved)
        )

    @classmethod
    def primer(cls, taxonomy: Taxonomy) -> "Knowledge":
        """The embedded textbook."""
        return cls.from_sections(read_markdown(primer_text()), "primer", taxonomy)

    @classmethod
    def load(cls, folder: Path) -> "Knowledge":
        """What :meth:`save` wrote. Raises UserError when a file is missing."""
        found = [Passage(**{**row, "diagnoses": tuple(row["diagnoses"])}) for row in read_jsonl(folder / PASSAGES)]
        made = tuple(Rule(**row) for row in read_jsonl(folder / RULES))
        graph = tuple(Edge(**{**row, "signs": tuple(row["signs"])}) for row in read_jsonl(folder / EDGES))
        return cls({passage.id: passage for passage in found}, made, graph)

    def save(self, folder: Path) -> None:
        """Writes passages.jsonl, rules.jsonl and differentials.jsonl."""
        write_jsonl(folder / PASSAGES, (asdict(passage) for passage in self.passages.values()))
        write_jsonl(folder / RULES, (asdict(rule) for rule in self.rules))
        write_jsonl(folder / EDGES, (asdict(edge) for edge in self.edges))

    def rules_of(self, diagnosis: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.diagnosis == diagnosis]

    def rivals_of(self, diagnosis: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.diagnosis == diagnosis]

    def passages_of(self, diagnosis: str, kind: str | None = None) -> list[Passage]:
        return [p for p in self.passages.values() if diagnosis in p.diagnoses and kind in (None, p.kind)]


def primer_text() -> str:
    """The embedded textbook as written."""
    return files("skinr1.knowledge").joinpath("primer.md").read_text(encoding="utf-8")
