"""Batch jobs on disk: what was asked, and every finished case in one line, so that a kill loses and doubles nothing.

<folder>/<job>/job.json       owner, ids of the cases
               cases.jsonl    the requests, images stripped of all metadata; removed when the job is done
               results.jsonl  one line a finished case, in the order of finishing
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.serving.envelope import ReportRequest
from skinr1.stage import canonical_json, read_jsonl, write_atomic, write_jsonl

JOB, CASES, RESULTS = "job.json", "cases.jsonl", "results.jsonl"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder and has it for this process alone.

    Raises:
        UserError: another process has it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / ".lock", "wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            advice = "Stop it, or give --jobs OTHER."
            raise UserError("another gateway works on these jobs", str(folder), advice) from None
        yield


@dataclass
class Job:
    """One job. ``finished`` has the cases whose results are on the disk, in their order, and whether they failed."""

    folder: Path
    owner: str
    ids: tuple[str, ...]
    finished: dict[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def done(self) -> bool:
        return len(self.finished) == len(self.ids)

    def remaining(self) -> Iterator[tuple[str, ReportRequest]]:
        """Case id and request of every case without a result, read one at a time."""
        for row in read_jsonl(self.folder / CASES):
            if row["id"] not in self.finished:
                yield row["id"], ReportRequest.model_validate(row["request"])

    def add(self, row: dict[str, Any]) -> None:
        """Keeps the result of one case; the requests are removed with the last."""
        with open(self.folder / RESULTS, "ab") as handle:
            handle.write(f"{canonical_json(row)}\n".encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.finished[row["id"]] = "error" in row
        if self.done:
            (self.folder / CASES).unlink(missing_ok=True)

    def results(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Rows on the disk behind the first ``after``; a line that is just being written is not among them."""
        last = min(after + limit, len(self.finished))
        return list(islice(read_jsonl(self.folder / RESULTS), after, last)) if after < last else []


def job_name(owner: str, cases: Sequence[dict[str, Any]]) -> str:
    """The same cases from the same owner are the same job: a request that is sent again starts nothing twice."""
    return hashlib.sha256(canonical_json([owner, cases]).encode()).hexdigest()[:32]


def create(folder: Path, owner: str, name: str, cases: Sequence[tuple[str, ReportRequest | None]]) -> Job:
    """Writes a job through to the disk; ``None`` stands for a case that is known to fail.

    Its folder appears under its name when it is complete.
    """
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    rows = ({"id": case, "request": request.model_dump(mode="json")} for case, request in cases if request)
    write_jsonl(partial / CASES, rows)
    job = {"owner": owner, "ids": [case for case, _ in cases]}
    write_atomic(partial / JOB, json.dumps(job))
    os.replace(partial, folder / name)
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    return Job(folder / name, owner, tuple(job["ids"]))


def load(folder: Path) -> list[Job]:
    """All jobs of a folder, the oldest first; what a kill left half-written is removed."""
    for partial in folder.glob(".*.partial"):
        shutil.rmtree(partial)
    found = sorted(folder.glob(f"*/{JOB}"), key=lambda path: (path.stat().st_mtime_ns, path.parent.name))
    return [_load(path.parent) for path in found]


def _load(folder: Path) -> Job:
    told = json.loads((folder / JOB).read_text(encoding="utf-8"))
    job = Job(folder, told["owner"], tuple(told["ids"]))
    path = folder / RESULTS
    if path.exists():
        complete, newline, cut = path.read_bytes().rpartition(b"\n")
        if cut:
            os.truncate(path, len(complete) + len(newline))
        job.finished = {row["id"]: "error" in row for row in read_jsonl(path)}
    if job.done:
        (folder / CASES).unlink(missing_ok=True)
    return job


def expired(job: Job, hours: float) -> bool:
    """Whether a finished job is older than it is kept."""
    path = job.folder / (RESULTS if (job.folder / RESULTS).exists() else JOB)
    return job.done and time.time() - path.stat().st_mtime > hours * 3600
