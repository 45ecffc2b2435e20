"""TRL: our own conversational rows, with their images copied beside them."""

from collections.abc import Iterable
from pathlib import Path

from skinr1.export.reading import Example, Pictures
from skinr1.scale.tables import Table


def write_trl(split: str, rows: Iterable[Example], output: Path) -> int:
    """Writes ``<split>.jsonl`` and ``images/``; returns the number of rows."""
    pictures = Pictures(output)
    with Table(output, split) as table:
        for example in rows:
            table.add({**example.row, "images": [pictures.name(path) for path in example.images]})
    return table.count
