"""Near-duplicate pictures: copies that were resized, recompressed, mirrored, turned, cropped or recoloured.

Two hashes propose pairs through a faiss index over bits, one by colour and texture wherever it lies (a crop, a turn),
one by coarse shape wherever the colours went (imagehash's pHash); :mod:`skinr1.splits.alignment` then lays each pair
one on the other and decides. Rates on real photographs: tests/skinr1/test_splits_duplicates.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from skinr1.cases import Case
from skinr1.splits.alignment import AGREEMENT, compare
from skinr1.splits.auditing import Sight
from skinr1.splits.fingerprints import SHARD, Records, fingerprint_files

SIGNATURE_BITS = 40  # of 256: 99 % of crops and turns stay below 35 on the photographs used for tuning
SIGNATURE_NEAREST = 12
SIGNATURE_LISTS = 48  # lists of the index that a query looks into, of up to 4096
PHASH_BITS = 6  # of 64
PHASH_NEAREST = 4
PHASH_LISTS = 16  # a pair is looked for from either side
EXACT = 20_000  # up to here every pair is looked at; beyond, the index looks into the lists nearest to the query
_LIST = 256  # codes a list
_QUERIES = 65_536
_PAIRS = 256
_SAME_GREY = 1.0  # mean difference of grey levels under which two small copies are one, however little they show


@dataclass(frozen=True, order=True)
class Pair:
    """Two pictures that show one scene, by their index in the input; ``agreement`` 0..1."""

    first: int
    second: int
    agreement: float


def find_duplicates(paths: Sequence[Path], folder: Path, workers: int = 1, progress: bool = True) -> list[Pair]:
    """All near-duplicate pairs among the pictures, sorted.

    Args:
        folder: where fingerprints are kept, to resume and to read again.

    Raises:
        UserError: a picture cannot be read.
    """
    shards = fingerprint_files(paths, folder, workers, progress)
    if not shards:
        return []
    return verified(shards, candidates(shards, progress), progress)


def look(
    cases: Sequence[Case], folders: Sequence[Path], store: Path, workers: int = 1, progress: bool = True
) -> list[Sight]:
    """The near-duplicates between different cases, the best pair of pictures for each two cases.

    Args:
        folders: for each case, what its image paths are relative to.
        store: where fingerprints are kept.

    Raises:
        UserError: a picture cannot be read.
    """
    views = [
        (case, image, folder / image) for case, folder in zip(cases, folders, strict=True) for image in case.images
    ]
    views.sort(key=lambda view: (view[0].case_id, view[1]))
    best: dict[tuple[str, str], Sight] = {}
    for pair in find_duplicates([path for _, _, path in views], store, workers, progress):
        (first, first_image, _), (second, second_image, _) = views[pair.first], views[pair.second]
        sight = Sight(first.case_id, first_image, second.case_id, second_image, pair.agreement)
        known = best.get(sight.cases)
        if first.case_id != second.case_id and (known is None or known.agreement < sight.agreement):
            best[sight.cases] = sight
    return [best[cases] for cases in sorted(best)]


def candidates(shards: Sequence[Records], progress: bool = True) -> NDArray[np.int64]:
    """(m, 2) sorted pairs of indices that one of the two hashes finds near."""
    signature = np.concatenate([shard["signature"] for shard in shards])
    phash = np.concatenate([shard["phash"] for shard in shards])
    turns = [np.ascontiguousarray(phash[:, k]) for k in range(4)]
    with Progress(disable=not progress) as bar:
        texture, shape = build_index(signature, SIGNATURE_LISTS), build_index(turns[0], PHASH_LISTS)
        found = [
            near_pairs(texture, [signature], SIGNATURE_BITS, SIGNATURE_NEAREST, bar, "splits: by texture"),
            near_pairs(shape, turns, PHASH_BITS, PHASH_NEAREST, bar, "splits: by shape"),
        ]
    return np.unique(np.concatenate(found), axis=0)


def near_pairs(
    index: faiss.IndexBinary,
    queries: Sequence[NDArray[np.uint8]],
    bits: int,
    nearest: int,
    bar: Progress,
    title: str,
) -> NDArray[np.int64]:
    """Pairs (i, j), i < j, in which any of i's queries is among the ``nearest`` of code j (or the reverse).

    Args:
        index: of the n codes of all pictures.
        queries: codes of the same pictures, or of their mirror images, each (n, bytes).
        bits: the largest Hamming distance that counts.
    """
    task = bar.add_task(title, total=index.ntotal * len(queries))
    pairs = [np.zeros((0, 2), np.int64)]
    for query in queries:
        for start in range(0, len(query), _QUERIES):
            block = query[start : start + _QUERIES]
            distance, other = index.search(block, min(nearest + 1, index.ntotal))
            row, column = np.nonzero((distance <= bits) & (other >= 0))
            own, its = row + start, other[row, column]
            apart = own != its
            pairs.append(np.sort(np.stack([own[apart], its[apart]], axis=1), axis=1))
            bar.advance(task, len(block))
    return np.unique(np.concatenate(pairs), axis=0)


def build_index(codes: NDArray[np.uint8], lists_read: int) -> faiss.IndexBinary:
    """Exhaustive for few codes; for many, lists around codes taken at even steps, which need no training."""
    width = codes.shape[1] * 8
    if len(codes) <= EXACT:
        flat = faiss.IndexBinaryFlat(width)
        flat.add(codes)
        return flat
    lists = min(len(codes) // _LIST, 4096)
    centres = faiss.IndexBinaryFlat(width)
    centres.add(codes[np.linspace(0, len(codes) - 1, lists).astype(np.int64)])
    index = faiss.IndexBinaryIVF(centres, width, lists)
    index.is_trained = True
    index.nprobe = min(lists_read, lists)
    index.add(codes)
    return index


def verified(shards: Sequence[Records], pairs: NDArray[np.int64], progress: bool = True) -> list[Pair]:
    """The candidates that align."""
    kept: list[Pair] = []
    with Progress(disable=not progress) as bar:
        task = bar.add_task("splits: comparing candidates", total=len(pairs))
        for start in range(0, len(pairs), _PAIRS):
            block = pairs[start : start + _PAIRS]
            first, second = (_grey(shards, block[:, side]) for side in (0, 1))
            agreement = compare(first, second).detail
            same = np.abs(first.astype(np.int16) - second).mean((1, 2)) < _SAME_GREY
            score = np.where(same, 1.0, agreement)
            for (i, j), value in zip(block, score, strict=True):
                if value >= AGREEMENT:
                    kept.append(Pair(int(i), int(j), round(float(value), 3)))
            bar.advance(task, len(block))
    return kept


def _grey(shards: Sequence[Records], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([shards[i // SHARD][i % SHARD]["grey"] for i in indices])
