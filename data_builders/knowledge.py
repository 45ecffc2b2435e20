"""Knowledge stage: books -> passages, rules, differential graph and figures, with the texts that their spans refer to.

    python -m data_builders.knowledge --config recipes/<model>/knowledge.yaml [--books primer my_book.pdf]

Writes passages.jsonl, rules.jsonl, differentials.jsonl, figures.jsonl and rejected.jsonl; over all books, graph.jsonl
and signs.jsonl, the weighted sums of edges and rules; sources/ and figures/; manifest.json.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.progress import track

from data_builders.closing import load_taxonomy
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Book, Knowledge
from skinr1.knowledge.card import PRIMER, Card
from skinr1.knowledge.figures import save_picture
from skinr1.stage import REJECTED, reopen, write_atomic, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy

GRAPH, SIGNS, SOURCES = "graph.jsonl", "signs.jsonl", "sources"


@dataclass
class KnowledgeConfig:
    """One book or several, merged."""

    output: str = field(default="runs/knowledge", metadata={"help": "Folder to write."})
    books: list[str] = field(
        default_factory=lambda: [PRIMER],
        metadata={
            "help": "`primer`, the embedded one; a Markdown, PDF or HTML book or MedQuAD's JSON lines; "
            "or a book's card, YAML with path, name, licence and aliases."
        },
    )
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})


def build(config: KnowledgeConfig) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: a book is missing or refused by its reader, or none of its headings names a diagnosis.
    """
    output, taxonomy = Path(config.output), load_taxonomy(config.taxonomy)
    cards = [Card.read(entry) for entry in config.books]
    read = [(card, *_read(card, taxonomy, output)) for card in cards]
    reopen(output)
    knowledge = Knowledge.merge(made for _, _, made in read)
    knowledge = replace(knowledge, figures=tuple(save_picture(figure, output) for figure in knowledge.figures))
    write_jsonl(output / REJECTED, (asdict(unread) for unread in knowledge.unread))
    for _, book, _ in read:
        write_atomic(output / SOURCES / f"{book.source}.txt", book.text)
    knowledge.save(output)
    graph, signs = knowledge.graph(), knowledge.ascriptions()
    write_jsonl(output / GRAPH, map(asdict, graph))
    write_jsonl(output / SIGNS, map(asdict, signs))
    counts = {
        "passages": len(knowledge.passages),
        "rules": len(knowledge.rules),
        "differentials": len(knowledge.edges),
        "figures": len(knowledge.figures),
        "rejected": len(knowledge.unread),
        "graph": len(graph),
        "signs": len(signs),
        "conditions with rivals": len({edge.diagnosis for edge in knowledge.edges}),
        **{f"skipped, {book.source}: {what}": n for _, book, _ in read for what, n in book.skipped.items()},
    }
    _close(output, taxonomy, read, counts)
    return counts


def _read(card: Card, taxonomy: Taxonomy, output: Path) -> tuple[Book, Knowledge]:
    """Raises UserError when the book holds no passage; what it held is listed first."""
    book = card.book(lambda pages: track(pages, f"{card.name}: pages"))
    made = Knowledge.from_book(book, taxonomy, card.names(taxonomy))
    if not made.passages:
        write_jsonl(output / REJECTED, (asdict(unread) for unread in made.unread))
        raise UserError("no heading names a diagnosis", card.where, f"See {output / REJECTED}.")
    return book, made


def _close(
    output: Path, taxonomy: Taxonomy, read: Sequence[tuple[Card, Book, Knowledge]], counts: dict[str, int]
) -> None:
    licences: Counter[str] = Counter()
    for card, _, made in read:
        licences[card.licence] += len(made.passages)
    write_manifest(
        output,
        "knowledge",
        config={"books": [card.described() for card, _, _ in read]},
        inputs=[path for card, _, _ in read for path in card.inputs],
        counts=counts,
        licences=dict(sorted(licences.items())),
        taxonomy_hash=taxonomy.hash,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(KnowledgeConfig, argv, prog="data_builders.knowledge")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
