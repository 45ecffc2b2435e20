"""A piece: some rows of a table, by place, so that whoever works on it reads them himself."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.scale.tables import PARQUET, read_group
from skinr1.stage import file_hash, parse_line

ROWS = 1000


@dataclass(frozen=True)
class Piece:
    """Rows of one file.

    Attributes:
        number: place among the pieces of a build.
        start: byte offset in a JSON-lines file; row group of a Parquet file.
        first: number of its first row within the file, from 0.
        digest: hash of its content.
    """

    number: int
    path: str
    start: int
    first: int
    rows: int
    digest: str


def cut(files: Sequence[Path], size: int = ROWS) -> list[Piece]:
    """The pieces of a table's files, in order: ``size`` rows each of JSON lines, a row group each of Parquet.

    Raises:
        UserError: a file is missing.
    """
    pieces: list[Piece] = []
    for path in files:
        if not path.is_file():
            raise UserError("file not found", str(path), "Run the stage that writes it, or correct the path.")
        found = _row_groups(path) if path.suffix == PARQUET else _line_groups(path, size)
        for start, first, count, digest in found:
            pieces.append(Piece(len(pieces), str(path), start, first, count, digest))
    return pieces


def rows(piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, row). Raises UserError when a line is not a JSON object."""
    path = Path(piece.path)
    if path.suffix == PARQUET:
        for number, row in enumerate(read_group(path, piece.start), piece.first + 1):
            yield f"{path}:{number}", row
        return
    with open(path, "rb") as handle:
        handle.seek(piece.start)
        for number in range(piece.first + 1, piece.first + piece.rows + 1):
            where = f"{path}:{number}"
            yield where, parse_line(handle.readline(), where)


def _line_groups(path: Path, size: int) -> Iterator[tuple[int, int, int, str]]:
    with open(path, "rb") as handle:
        start, first, count, content = 0, 0, 0, hashlib.sha256()
        for line in handle:
            content.update(line)
            count += 1
            if count == size:
                yield start, first, count, content.hexdigest()
                start, first, count, content = handle.seek(0, 1), first + count, 0, hashlib.sha256()
        if count:
            yield start, first, count, content.hexdigest()


def _row_groups(path: Path) -> Iterator[tuple[int, int, int, str]]:
    from pyarrow import parquet

    whole, first = file_hash(path), 0
    metadata = parquet.read_metadata(path)
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        yield group, first, count, f"{whole}:{group}"
        first += count
