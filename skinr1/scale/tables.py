"""Tables of rows written as they come: JSON lines, or Parquet in shards of a fixed number of rows."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from skinr1.errors import UserError
from skinr1.scale.schemas import from_arrow, schema_of, to_arrow
from skinr1.stage import canonical_json, read_jsonl

FORMATS = ("jsonl", "parquet")
PARQUET = ".parquet"
SHARD = 10_000  # rows of a Parquet file
GROUP = 1_000  # rows of a row group: what is read, and worked on, at a time


def table_files(folder: Path, name: str) -> list[Path]:
    """The files of a table: ``name.jsonl``, or ``name-00000.parquet`` and so on. Without any, the former's path."""
    lines = folder / f"{name}.jsonl"
    return [lines] if lines.is_file() else sorted(folder.glob(f"{name}-[0-9]*{PARQUET}")) or [lines]


def case_files(folder: Path) -> list[Path]:
    """The files of a cases folder's table."""
    return table_files(folder, "cases")


def read_rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table of either format. Raises UserError when it is missing or damaged."""
    for path in table_files(folder, name):
        if path.suffix != PARQUET:
            yield from read_jsonl(path)
            continue
        from pyarrow import parquet

        for group in range(parquet.read_metadata(path).num_row_groups):
            yield from read_group(path, group)


def read_group(path: Path, group: int) -> Iterator[dict[str, Any]]:
    """The rows of one row group of a Parquet file."""
    from pyarrow import parquet

    yield from map(from_arrow, parquet.ParquetFile(path).read_row_group(group).to_pylist())


class Table:
    """A table being written: a context in which rows are added, and at whose end the files get their names.

    A build that is killed inside leaves the files of before and some ``.partial`` ones; the stage that comes next
    removes these as it writes its manifest.

    Args:
        kind: the schema's name (:mod:`skinr1.scale.schemas`); needed for Parquet only.
    """

    def __init__(self, folder: Path, name: str, file_format: str = "jsonl", kind: str = "") -> None:
        if file_format not in FORMATS:
            raise UserError("unknown format", repr(file_format), f"Use {' or '.join(FORMATS)}.")
        self.folder, self.name, self.format = folder, name, file_format
        self.count = 0
        self._schema = schema_of(kind) if file_format == "parquet" else None
        self._ready: list[tuple[Path, Path]] = []
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._schema is None:
            self._handle = open(self._partial(self.folder / f"{self.name}.jsonl"), "wb")
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        if self._schema is None:
            self.add_text(canonical_json(row))
            return
        self.count += 1
        self._rows.append(to_arrow(row, self._schema))
        if len(self._rows) == SHARD:
            self._flush()

    def add_text(self, text: str) -> None:
        """Appends a row that is canonical JSON already."""
        if self._schema is not None:
            self.add(json.loads(text))
            return
        self.count += 1
        self._handle.write(text.encode() + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._schema is None:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()
        elif kind is None and (self._rows or not self._ready):
            self._flush()
        if kind is not None:
            for partial, _ in self._ready:
                partial.unlink(missing_ok=True)
            return
        wanted = {path for _, path in self._ready}
        for old in {self.folder / f"{self.name}.jsonl", *self.folder.glob(f"{self.name}-[0-9]*{PARQUET}")} - wanted:
            old.unlink(missing_ok=True)
        for partial, path in self._ready:
            os.replace(partial, path)

    def _partial(self, path: Path) -> Path:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._ready.append((partial, path))
        return partial

    def _flush(self) -> None:
        import pyarrow
        from pyarrow import parquet

        path = self._partial(self.folder / f"{self.name}-{len(self._ready):05d}{PARQUET}")
        table = pyarrow.Table.from_pylist(self._rows, schema=self._schema)
        with open(path, "wb") as handle:
            parquet.write_table(table, handle, row_group_size=GROUP, compression="zstd")
            handle.flush()
            os.fsync(handle.fileno())
        self._rows = []
