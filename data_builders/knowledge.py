"""Knowledge stage: a book -> passages.jsonl, rules.jsonl, differentials.jsonl, rejected.jsonl, manifest.json.

python -m data_builders.knowledge --config recipes/<model>/knowledge.yaml [--book my_book.md]
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from data_builders.closing import load_taxonomy
from skinr1.config import parse, run
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge, read_markdown
from skinr1.knowledge.passages import slug
from skinr1.stage import REJECTED, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy


@dataclass
class KnowledgeConfig:
    """The embedded primer, or one's own book in Markdown: a second-level heading a diagnosis."""

    output: str = field(default="runs/knowledge", metadata={"help": "Folder to write."})
    book: str | None = field(default=None, metadata={"help": "Markdown file; null is the embedded primer."})
    licence: str | None = field(default=None, metadata={"help": "Licence of one's own book; null is unstated."})
    taxonomy: str | None = field(default=None, metadata={"help": "A tree's YAML instead of the shipped one."})


def build(config: KnowledgeConfig) -> dict[str, int]:
    """Writes the stage folder and returns the counts of its manifest.

    Raises:
        UserError: the book is missing, or none of its headings names a diagnosis.
    """
    output, taxonomy = Path(config.output), load_taxonomy(config.taxonomy)
    knowledge = _read(config.book, taxonomy)
    write_jsonl(output / REJECTED, (asdict(unread) for unread in knowledge.unread))
    if not knowledge.passages:
        raise UserError("no heading names a diagnosis", str(config.book), f"See {output / REJECTED}.")
    knowledge.save(output)
    counts = {
        "passages": len(knowledge.passages),
        "rules": len(knowledge.rules),
        "differentials": len(knowledge.edges),
        "rejected": len(knowledge.unread),
    }
    book, licence = (Path(config.book).name, config.licence or "unstated") if config.book else ("primer", "Apache-2.0")
    write_manifest(
        output,
        "knowledge",
        config={"book": book},
        inputs=[Path(config.book)] if config.book else [],
        counts=counts,
        licences={licence: len(knowledge.passages)},
        taxonomy_hash=taxonomy.hash,
    )
    return counts


def _read(book: str | None, taxonomy: Taxonomy) -> Knowledge:
    if book is None:
        return Knowledge.primer(taxonomy)
    path = Path(book)
    if not path.is_file():
        raise UserError("book not found", book, "Correct the path.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"book is not UTF-8 text ({error.reason})", book, "Save it as UTF-8 Markdown.") from None
    return Knowledge.from_sections(read_markdown(text), slug(path.stem)[:40] or "book", taxonomy)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    for name, count in build(parse(KnowledgeConfig, argv, prog="data_builders.knowledge")).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    run(main)
