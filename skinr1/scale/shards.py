"""Shards: what was made of each piece, as files in a work folder until the stage is finished."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from skinr1 import __version__
from skinr1.progress import progress_bar
from skinr1.scale.engines import Engine
from skinr1.scale.pieces import Piece
from skinr1.scale.tables import Table
from skinr1.stage import canonical_json, write_atomic

WORK = "work"
COUNTS = "counts"  # the stream whose rows are added up
LICENCE = "licence:"  # prefix of counts of cases by licence, which a manifest keeps apart

# What a stage does with a piece: yields (stream, row). A pure function of the piece's rows and of its own settings.
Make = Callable[[Piece], Iterable[tuple[str, Mapping[str, Any]]]]


@dataclass(frozen=True)
class Shards:
    """The shards of a build.

    Attributes:
        output: the stage's folder; shards lie in its ``work``.
        token: hash of all that decides a shard beside its piece.
    """

    output: Path
    token: str

    @property
    def folder(self) -> Path:
        return self.output / WORK

    def build(
        self, pieces: Sequence[Piece], make: Make, engine: Engine, title: str, progress: bool = True
    ) -> list[Path]:
        """Makes the shards that are not there yet; returns all, in the order of the pieces."""
        targets = [self._target(piece) for piece in pieces]
        for stale in set(self.folder.glob("*.shard")) - set(targets) | set(self.folder.glob(".*.partial")):
            stale.unlink()
        missing = [(piece, str(target)) for piece, target in zip(pieces, targets, strict=True) if not target.is_file()]
        bar = progress_bar()
        bar.disable = not progress
        with bar:
            task = bar.add_task(title, total=sum(piece.rows for piece in pieces))
            bar.advance(task, sum(piece.rows for piece in pieces) - sum(piece.rows for piece, _ in missing))
            for (piece, _), _ in zip(missing, engine.map(partial(_write, make), missing), strict=True):
                bar.advance(task, piece.rows)
        return targets

    def _target(self, piece: Piece) -> Path:
        name = hashlib.sha256(f"{__version__}\t{self.token}\t{piece.digest}".encode()).hexdigest()[:24]
        return self.folder / f"{piece.number:06d}-{name}.shard"

    def close(self) -> None:
        """Removes the work folder: the stage is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(make: Make, item: tuple[Piece, str]) -> str:
    piece, target = item
    lines = [f"{stream}\t{canonical_json(row)}\n" for stream, row in make(piece)]
    write_atomic(Path(target), "".join(lines))
    return target


def records(shards: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yields (stream, row as JSON) of all shards, in order."""
    for shard in shards:
        with open(shard, encoding="utf-8") as handle:
            for line in handle:
                stream, _, text = line.rstrip("\n").partition("\t")
                yield stream, text


def join(shards: Iterable[Path], tables: Mapping[str, Table]) -> Counter[str]:
    """Writes every stream into its table; returns the sums of the stream ``counts``."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        for table in tables.values():
            stack.enter_context(table)
        for stream, text in records(shards):
            if stream == COUNTS:
                counts.update(json.loads(text))
            else:
                tables[stream].add_text(text)
    return counts


def licences_in(counts: Counter[str]) -> dict[str, int]:
    """Licence -> number of cases, sorted by name: taken out of the counts."""
    found = sorted(name for name in counts if name.startswith(LICENCE))
    return {name.removeprefix(LICENCE): counts.pop(name) for name in found}
