"""What is kept of every picture for the search for near-duplicates: two hashes and a small grey copy.

Written in shards as they are made, so that a killed search over a million pictures goes on where it was.
"""

import hashlib
import io
import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress

from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.splits.alignment import SIDE
from skinr1.splits.signature import signatures
from skinr1.stage import write_atomic

# signature: skinr1.splits.signature. phash: imagehash.phash as it is, mirrored, upside down, both. grey: for alignment.
RECORD = np.dtype([("signature", "u1", (32,)), ("phash", "u1", (4, 8)), ("grey", "u1", (SIDE, SIDE))])
SHARD = 2048
_BATCH = 64  # fixed, so that rounding does not depend on the number of workers

Records = NDArray[np.void]


def fingerprint(pictures: Sequence[Image.Image]) -> Records:
    """One record of :data:`RECORD` a picture; pictures are RGB of any size."""
    small = [picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0) for picture in pictures]
    records = np.zeros(len(small), RECORD)
    for start in range(0, len(small), _BATCH):
        batch = small[start : start + _BATCH]
        records["signature"][start : start + len(batch)] = signatures(np.stack([np.asarray(p) for p in batch]))
    for record, picture in zip(records, small, strict=True):
        grey = picture.convert("L")
        record["grey"] = np.asarray(grey)
        record["phash"] = [_phash(np.asarray(grey)[::down, ::across]) for down in (1, -1) for across in (1, -1)]
    return records


def _phash(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(imagehash.phash(Image.fromarray(grey)).hash.ravel())


def fingerprint_files(paths: Sequence[Path], folder: Path, workers: int = 1, progress: bool = True) -> list[Records]:
    """Records of all files in shards of :data:`SHARD`, memory-mapped from ``folder``.

    A shard lies there under the hash of its files' bytes; one that is there already is not made again.

    Raises:
        UserError: pictures that cannot be read; the first is named.
    """
    shards = [list(paths[start : start + SHARD]) for start in range(0, len(paths), SHARD)]
    targets = []
    with Progress(disable=not progress) as bar:
        task = bar.add_task("splits: hashing images", total=len(paths))
        for number, shard in enumerate(shards):
            target = folder / f"{number:05d}-{_content(shard)}.npy"
            if not target.is_file():
                write_atomic(target, _npy(np.concatenate(list(_records(shard, workers)))))
            targets.append(target)
            bar.advance(task, len(shard))
    for stale in set(folder.glob("*.npy")) - set(targets):
        stale.unlink()
    return [np.load(target, mmap_mode="r", allow_pickle=False) for target in targets]


def _content(paths: Sequence[Path]) -> str:
    whole = hashlib.sha256(str(RECORD).encode())
    for path in paths:
        if not path.is_file():
            raise UserError("image not found", str(path), "Correct the path or rebuild the cases.")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:24]


def _npy(records: Records) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    return buffer.getvalue()


def _records(paths: Sequence[Path], workers: int) -> Iterator[Records]:
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    if workers == 1 or len(batches) < 2:
        results = map(_read, batches)
        yield from (_checked(*result) for result in results)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from (_checked(*result) for result in pool.imap(_read, batches))


def _checked(records: Records, fault: tuple[str, str, str] | None) -> Records:
    if fault is not None:
        raise UserError(*fault)
    return records


def _read(paths: Sequence[Path]) -> tuple[Records, tuple[str, str, str] | None]:
    """Records, or the parts of the error: processes hand over plain values."""
    try:
        return fingerprint([load_image(path) for path in paths]), None
    except UserError as error:
        return np.zeros(0, RECORD), (error.what, error.where, error.do)
