"""Rows by case without the rows in memory: where each line starts is kept, the line itself is read again when shown."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skinr1.errors import UserError


class Rows:
    """JSON lines of several files, by the value of ``key``; rows without one are under ``""``."""

    def __init__(self, paths: Iterable[Path], key: str = "case_id"):
        self._places: defaultdict[str, list[tuple[Path, int]]] = defaultdict(list)
        for path in paths:
            for start, row in _lines(path):
                self._places[str(row.get(key) or "")].append((path, start))

    def __getitem__(self, value: str) -> list[dict[str, Any]]:
        """The rows of one value, in the order of files and lines."""
        return [_row(path, start) for path, start in self._places.get(value, ())]

    def __contains__(self, value: str) -> bool:
        return value in self._places

    def __iter__(self) -> Iterator[str]:
        """Values in order of first occurrence."""
        return iter(self._places)

    def count(self) -> int:
        return sum(map(len, self._places.values()))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Raises UserError when the file is missing or a line is no JSON object."""
    if not path.is_file():
        raise UserError("file not found", str(path), "Run the stage that writes it, or correct the path.")
    start = 0
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, 1):
            yield start, _parsed(line, f"{path}:{number}")
            start += len(line)


def _row(path: Path, start: int) -> dict[str, Any]:
    with open(path, "rb") as handle:
        handle.seek(start)
        return _parsed(handle.readline(), f"{path}, byte {start}")


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())
    except ValueError:  # neither JSON nor UTF-8
        raise UserError("not JSON", where, "Run the stage again.") from None
    if not isinstance(row, dict):
        raise UserError("not a JSON object", where, "Run the stage again.")
    return row
