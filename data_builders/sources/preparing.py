"""Rows of a source -> cases with prepared pictures, as a stream: ids and hashes are all that is kept of a case.

Three steps: :func:`spool` writes down what the source yields, each id once; :func:`make_cases` prepares the pictures of
a piece of it, in any process; :func:`finish` draws the split over what is left and writes the table.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from data_builders.rendered.render import SCHEME
from data_builders.sources import Rejection, SourceRows
from data_builders.sources.pictures import Job, make
from skinr1.cases import Case, parse_case
from skinr1.errors import UserError
from skinr1.licences import refuse_non_commercial
from skinr1.scale import LICENCE, Piece, Table, records, rows
from skinr1.splits import audit, plan_by_role
from skinr1.stage import file_hash, read_jsonl

SPOOL, SPOOLED_REJECTIONS = "spool.jsonl", "spool-rejected"
PIECE = 200  # cases worked on at a time: some seconds of pictures


def spool(source: SourceRows, folder: Path, commercial: bool) -> None:
    """Writes the cases of a source, and what it rejects; of an id that occurs twice the first is kept.

    Raises:
        UserError: ``commercial``, and a case's licence does not allow it; or as the source does.
    """
    seen: set[bytes] = set()
    kept, rejected = Table(folder, Path(SPOOL).stem), Table(folder, SPOOLED_REJECTIONS)
    with kept, rejected:
        for row in source:
            if isinstance(row, Rejection):
                rejected.add(asdict(row))
            elif (key := hashlib.sha256(row.case_id.encode()).digest()[:16]) in seen:
                rejected.add(asdict(Rejection(f"case {row.case_id}", "case id occurs twice; the first is kept")))
            else:
                seen.add(key)
                kept.add(row.model_dump(mode="json"))
    if commercial:
        refuse_non_commercial(parse_case(row, SPOOL) for row in read_jsonl(folder / SPOOL))


def make_cases(output: Path, max_tokens: int, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
    """The streams ``cases``, with prepared pictures, and ``rejected``, for pictures that cannot be prepared."""
    for where, row in rows(piece):
        case = parse_case(row, where)
        jobs = _jobs(case, output, max_tokens)
        reasons = [reason for job in jobs if (reason := make(job)) is not None]
        if reasons:
            yield from (("rejected", asdict(Rejection(f"case {case.case_id}", reason))) for reason in reasons)
        else:
            yield "cases", {**row, "images": [f"images/{Path(job.target).name}" for job in jobs]}


def _jobs(case: Case, output: Path, max_tokens: int) -> list[Job]:
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", case.case_id)
    if stem != case.case_id or len(stem) > 100:
        stem = f"{stem[:80]}-{hashlib.sha256(case.case_id.encode()).hexdigest()[:12]}"
    folder = output / "images"
    return [
        Job(source, str(folder / f"{stem}{'' if len(case.images) == 1 else f'-{i}'}{_content(source)}.png"), max_tokens)
        for i, source in enumerate(case.images)
    ]


def _content(source: str) -> str:
    """A part of the name that changes with the picture, so that a picture prepared earlier is never a stale one."""
    if source.startswith(SCHEME):  # no file, and too long a name for the system to look for one
        return ""
    return f"-{file_hash(Path(source))[:8]}" if Path(source).is_file() else ""


def finish(
    shards: Sequence[Path], folder: Path, output: Path, file_format: str, fractions: Mapping[str, float], seed: int
) -> Counter[str]:
    """Writes cases and rejections; returns what the manifest counts.

    Raises:
        UserError: the fractions cannot be met (see :func:`skinr1.splits.plan`).
    """
    counts: Counter[str] = Counter()
    with Table(output, "rejected") as rejected:
        for text in chain(_spooled(folder), _stream(shards, "rejected")):
            rejected.add_text(text)
    counts["rejected"] = rejected.count
    read = partial(_cases, shards)
    splits, counts["patients"] = plan_by_role(read, fractions, seed)
    for fault in audit(case.model_copy(update={"split": split}) for case, split in zip(read(), splits, strict=True)):
        raise UserError("split leaks", fault, "This is a fault of the builder; report it.")
    diagnoses: set[str] = set()
    with Table(output, "cases", file_format, "cases") as table:
        for text, split in zip(_stream(shards, "cases"), splits, strict=True):
            row = {**json.loads(text), "split": split}
            table.add(row)
            counts.update((f"role:{row['role']}", f"split:{row['role']}:{split}", f"{LICENCE}{row['licence']}"))
            diagnoses.update(row["diagnoses"])
    counts["cases"], counts["diagnoses"] = table.count, len(diagnoses)
    return counts


def _spooled(folder: Path) -> Iterator[str]:
    with open(folder / f"{SPOOLED_REJECTIONS}.jsonl", encoding="utf-8") as handle:
        yield from (line.rstrip("\n") for line in handle)


def _stream(shards: Sequence[Path], wanted: str) -> Iterator[str]:
    yield from (text for stream, text in records(shards) if stream == wanted)


def _cases(shards: Sequence[Path]) -> Iterator[Case]:
    for text in _stream(shards, "cases"):
        yield parse_case(json.loads(text), SPOOL)
