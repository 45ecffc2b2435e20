"""A stage is a function from a folder to a folder; this is the folder.

Files appear under their final name only when complete, ``manifest.json`` is written last, and nothing in
it depends on the clock: the same inputs and seed give the same bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skinr1 import __version__
from skinr1.errors import UserError

MANIFEST = "manifest.json"
REJECTED = "rejected.jsonl"
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and fixed separators: equal values give equal bytes."""
    return _ENCODER.encode(value)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Writes beside the target, syncs, then renames: a killed process leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with open(temporary, "wb") as handle:
        handle.write(data.encode() if isinstance(data, str) else data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes one canonical JSON object a line, as they come; returns the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    with open(temporary, "wb") as handle:
        for row in rows:
            handle.write(f"{canonical_json(row)}\n".encode())
            count += 1
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    return count


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a JSON-lines file.

    Raises:
        UserError: the file is missing, or a line is not a JSON object.
    """
    if not path.is_file():
        raise UserError("file not found", str(path), "Run the stage that writes it, or correct the path.")
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, 1):
            yield parse_line(line, f"{path}:{number}")


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object of a line. Raises UserError when it is none; ``where`` is what the message names."""
    try:
        row = json.loads(line.decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise UserError(f"not JSON ({reason})", where, "Rebuild the file.") from None
    if not isinstance(row, dict):
        raise UserError("not a JSON object", where, "Rebuild the file.")
    return row


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def config_hash(config: Any) -> str:
    """Short identity of a configuration, for resuming only what was started with the same one."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:16]


def reopen(folder: Path) -> None:
    """Before a stage writes: the manifest of an earlier build must not vouch for the rows of one that was killed."""
    (folder / MANIFEST).unlink(missing_ok=True)


def write_manifest(
    folder: Path,
    stage: str,
    *,
    config: Mapping[str, Any],
    inputs: Iterable[Path] = (),
    seed: int | None = None,
    counts: Mapping[str, int] | None = None,
    licences: Mapping[str, int] | None = None,
    taxonomy_hash: str | None = None,
    notes: Iterable[str] = (),
    usage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Closes a stage: records what made the folder, and removes what a killed build of it left half-written.

    Inputs are recorded as name and hash, not as paths.

    Args:
        usage: tokens and cost by model, of a stage that asks models.
    """
    manifest = {
        "stage": stage,
        "skinr1": __version__,
        "config": dict(config),
        "seed": seed,
        "inputs": [{"name": path.name, "sha256": file_hash(path)} for path in inputs],
        "taxonomy": taxonomy_hash,
        "counts": dict(counts or {}),
        "licences": dict(licences or {}),
        "notes": list(notes),
        **({} if usage is None else {"usage": dict(usage)}),
    }
    for stale in folder.glob(".*.partial"):
        stale.unlink()
    write_atomic(folder / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished stage.

    Raises:
        UserError: the folder has none, so the stage never finished, or it is not JSON.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError("no finished stage here", str(folder), f"Run the stage that writes it ({MANIFEST} is missing).")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # neither JSON nor UTF-8
        raise UserError("manifest is not JSON", str(path), "Run the stage again.") from None
