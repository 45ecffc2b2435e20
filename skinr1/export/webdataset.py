"""WebDataset shards: tar files in which a sample's files share a key: ``KEY.json``, ``KEY.0.png``, ``KEY.1.png`` …"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from skinr1.export.reading import Example, batches, shard_name, suffix
from skinr1.stage import canonical_json

ROWS = 1000  # samples of a shard


def write_webdataset(split: str, rows: Iterable[Example], output: Path) -> int:
    """Writes ``<split>-NNNNN.tar``; returns the number of samples."""
    output.mkdir(parents=True, exist_ok=True)
    total = 0
    for number, part in enumerate(batches(rows, ROWS)):
        target = output / shard_name(split, number, "tar")
        partial = target.with_name(f".{target.name}.partial")
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as shard:
            for example in part:
                for name, data in _files(example):
                    _add(shard, name, data)
        partial.replace(target)
        total += len(part)
    return total


def _files(example: Example) -> list[tuple[str, bytes]]:
    pictures = [
        (f"{example.key}.{place}{suffix(path)}", path.read_bytes()) for place, path in enumerate(example.images)
    ]
    sample = {
        **example.more,
        "case_id": example.case_id,
        "system": example.system,
        "question": example.question,
        "answer": example.answer,
        "images": [name.removeprefix(f"{example.key}.") for name, _ in pictures],
    }
    return [(f"{example.key}.json", canonical_json(sample).encode()), *pictures]


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # time, owner and mode fixed: same rows, same bytes
    entry.size, entry.mode = len(data), 0o644
    shard.addfile(entry, io.BytesIO(data))
