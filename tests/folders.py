"""What a folder holds, by digest: of two builds that differ, a reader wants the names of the files that do."""

from pathlib import Path

from skinr1.stage import file_hash


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder``, by relative path."""
    return {str(path.relative_to(folder)): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}
