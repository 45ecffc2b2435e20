"""How fast pictures are hashed and near-duplicates found among a million: one table.

    nice python benchmarks/hashing.py                 (one to three minutes on 2 cores)

Hashing: JPEG and PNG files of 512 px, read from disk, on one core. Search: random hashes, of which some are planted as
copies with as many flipped bits as copies of real photographs have (measured on the photographs in ../shared/data used
for tuning: at most 5 of 256 when recompressed, 15 when turned, 25 when cropped), by the function the stage uses.
"""

import os
import platform
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress
from scipy.ndimage import gaussian_filter

from skinr1 import config
from skinr1.stage import write_atomic

PLANTED = {"recompressed": (5, 2), "turned": (15, 4), "cropped": (25, 6)}  # flipped bits of 256 and of 64


@dataclass
class Arguments:
    """How much of it."""

    pictures: int = field(default=200, metadata={"help": "Files hashed, of each format."})
    hashes: int = field(default=1_000_000, metadata={"help": "Pictures in the search."})
    planted: int = field(default=3000, metadata={"help": "Copies among them, a third of each kind."})
    cores: int = field(default=2, metadata={"help": "Threads of the search."})
    output: Path = field(default=Path("runs/bench-hashing"), metadata={"help": "Folder for the table."})


def photograph(seed: int, side: int = 512) -> Image.Image:
    """Noise at two scales: about the file size of a skin photograph."""
    random = np.random.default_rng(seed)
    coarse = gaussian_filter(random.standard_normal((side, side)), 12) * 400
    fine = gaussian_filter(random.standard_normal((side, side)), 1) * 20
    tint = np.array([200, 150, 130]) + (coarse + fine)[:, :, None] * random.uniform(0.5, 1, 3)
    return Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8), "RGB")


def hashing_rate(count: int, suffix: str, folder: Path) -> float:
    """Files read and hashed a second of one core's time."""
    from skinr1.splits.fingerprints import fingerprint_files

    paths = [folder / f"{number}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        photograph(number % 8).save(path, quality=90)
    before = time.process_time()
    fingerprint_files(paths, folder / f"work{suffix}", workers=1, progress=False)
    return count / (time.process_time() - before)


def decoded_rate(count: int) -> float:
    """The same without reading and decoding the file."""
    from skinr1.splits.fingerprints import fingerprint

    pictures = [photograph(number) for number in range(8)] * (count // 8)
    before = time.process_time()
    fingerprint(pictures)
    return len(pictures) / (time.process_time() - before)


def plant(codes: NDArray[np.uint8], source: NDArray[np.int64], target: NDArray[np.int64], bits: int, seed: int) -> None:
    """Overwrites the targets by their sources with ``bits`` random bits flipped; codes are (n, bytes)."""
    random = np.random.default_rng(seed)
    for i, j in zip(source, target, strict=True):
        flips = np.zeros(codes.shape[1] * 8, np.uint8)
        flips[random.choice(len(flips), bits, replace=False)] = 1
        codes[j] = codes[i] ^ np.packbits(flips)


def search(count: int, planted: int, cores: int) -> tuple[float, float, dict[str, float], int]:
    """Seconds of wall clock and of processor, share found of each kind of copy, and other pairs proposed."""
    import faiss

    from skinr1.splits.duplicates import candidates
    from skinr1.splits.fingerprints import RECORD, SHARD

    faiss.omp_set_num_threads(cores)
    names = [name for name in RECORD.names or () if name != "grey"]
    records = np.zeros(count, [(name, RECORD[name]) for name in names])
    random = np.random.default_rng(0)
    records["signature"] = random.integers(0, 256, (count, 32), dtype=np.uint8)
    records["phash"] = random.integers(0, 256, (count, 4, 8), dtype=np.uint8)
    places = random.permutation(count)
    kinds: dict[str, set[tuple[int, int]]] = {}
    each = planted // len(PLANTED)
    upright = np.ascontiguousarray(records["phash"][:, 0])
    signature = np.ascontiguousarray(records["signature"])
    for k, (name, (signature_bits, phash_bits)) in enumerate(PLANTED.items()):
        source, target = places[2 * k * each : (2 * k + 1) * each], places[(2 * k + 1) * each : (2 * k + 2) * each]
        plant(signature, source, target, signature_bits, k)
        plant(upright, source, target, phash_bits * (name != "cropped") + 24 * (name == "cropped"), k)
        kinds[name] = {(int(min(i, j)), int(max(i, j))) for i, j in zip(source, target, strict=True)}
    records["signature"], records["phash"][:, 0] = signature, upright
    shards = [records[start : start + SHARD] for start in range(0, count, SHARD)]
    start, processor = time.perf_counter(), time.process_time()
    pairs = {(int(i), int(j)) for i, j in candidates(shards)}
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    wanted = set().union(*kinds.values())
    return (
        seconds,
        processor,
        {name: len(pairs & these) / len(these) for name, these in kinds.items()},
        len(pairs - wanted),
    )


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "hashing")
    rows = [("machine", f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", "")]
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        task = bar.add_task("benchmark: hashing", total=2)
        for suffix in (".jpg", ".png"):
            rate = hashing_rate(args.pictures, suffix, Path(folder))
            rows.append((f"hashing {suffix[1:].upper()} of 512 px, one core", f"{rate:.0f} pictures/s", "200 or more"))
            bar.advance(task)
    rows.append(("the same from decoded pictures", f"{decoded_rate(args.pictures):.0f} pictures/s", ""))
    seconds, processor, shares, others = search(args.hashes, args.planted, args.cores)
    rows.append(
        (
            f"search among {args.hashes:,} on {args.cores} cores",
            f"{seconds:.0f} s ({processor:.0f} s of processor)",
            "180 s or less",
        )
    )
    rows += [(f"copies proposed: {name}", f"{share:.1%}", "") for name, share in shares.items()]
    rows.append(("other pairs proposed", str(others), ""))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append(("peak memory", f"{peak:.2f} GiB", "2 GiB or less"))
    lines = ["| what | measured | target |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    table = "\n".join(lines) + "\n"
    write_atomic(args.output / "hashing.md", table)
    print(table)


if __name__ == "__main__":
    config.run(main)
