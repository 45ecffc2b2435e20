"""Which folders belong together: a manifest names its inputs by content, so the neighbours that hold them are found."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinr1.cases import CASES_FILE
from skinr1.errors import UserError
from skinr1.knowledge import PASSAGES
from skinr1.scale.tables import PARQUET
from skinr1.stage import MANIFEST, file_hash, read_manifest
from skinr1.taxonomy import Taxonomy

TRAINING_FILES = ("train.jsonl", "validation.jsonl")


@dataclass(frozen=True)
class Folders:
    """What a gallery is made of. ``trajectories`` and ``knowledge`` are None where there are no trajectories.

    ``all_cases`` is False when only the cases that the trajectories stage took up are shown.
    """

    cases: Path
    trajectories: Path | None
    knowledge: Path | None
    all_cases: bool


def locate(
    folder: Path, cases: Path | None = None, knowledge: Path | None = None, trajectories: Path | None = None
) -> Folders:
    """The folders that belong to a cases or a trajectories folder; what is not given is looked for beside it.

    Raises:
        UserError: the stage never finished or is another one, a folder is not found or is ambiguous, or a given one
            is not what the trajectories were made from.
    """
    read_manifest(folder)  # or the stage never finished
    if next(folder.glob(f"*{PARQUET}"), None):
        raise UserError("the gallery reads JSON lines", str(folder), "Build the stage with --format jsonl.")
    if (folder / CASES_FILE).is_file():
        if cases is not None:
            raise UserError("this is a cases folder already", str(folder), "Leave out --cases.")
        found = trajectories or _trajectories_of(folder)
        return Folders(folder, found, _needed(found, PASSAGES, knowledge, "--knowledge") if found else None, True)
    found_cases = cases_of(folder, cases)
    if trajectories is not None:
        raise UserError("this is a trajectories folder already", str(folder), "Leave out --trajectories.")
    return Folders(found_cases, folder, _needed(folder, PASSAGES, knowledge, "--knowledge"), False)


def cases_of(folder: Path, given: Path | None = None) -> Path:
    """The folder of the cases that a trajectories stage was made from. Raises UserError as :func:`locate` does."""
    if not (folder / TRAINING_FILES[0]).is_file():
        raise UserError("neither cases nor trajectories", str(folder), "Give a folder of one of these stages.")
    return _needed(folder, CASES_FILE, given, "--cases")


def same_taxonomy(manifest: dict[str, Any], taxonomy: Taxonomy, folder: Path) -> None:
    """Raises UserError when a stage names its diagnoses by another tree."""
    if manifest.get("taxonomy") not in (None, taxonomy.hash):
        raise UserError(
            "made with another taxonomy", str(folder), "Give its YAML as --taxonomy, or run the stage again."
        )


def _needed(folder: Path, name: str, given: Path | None, option: str) -> Path:
    """The folder with the input file ``name`` of the stage in ``folder``, checked by its hash.

    Several copies of one content are the same to the reader; the first by name is taken.
    """
    wanted = _input(read_manifest(folder), name)
    if wanted is None:
        raise UserError(f"manifest names no input {name}", str(folder), "Give the folder of the trajectories stage.")
    if given is not None:
        if not (given / name).is_file() or file_hash(given / name) != wanted:
            raise UserError(f"{name} is not the one {folder.name} was made from", str(given), f"Correct {option}.")
        return given
    for beside in _neighbours(folder):
        if (beside / name).is_file() and file_hash(beside / name) == wanted:
            return beside
    raise UserError(f"no folder beside it has the {name} it was made from", str(folder), f"Give {option}.")


def _trajectories_of(cases: Path) -> Path | None:
    """The neighbour that was made from these cases; None where there is none."""
    wanted = file_hash(cases / CASES_FILE)
    found = [
        beside
        for beside in _neighbours(cases)
        if (beside / TRAINING_FILES[0]).is_file()
        and (manifest := _manifest(beside)).get("stage") == "trajectories"
        and _input(manifest, CASES_FILE) == wanted
    ]
    if len(found) > 1:
        raise UserError(
            "several trajectories were made from these cases", ", ".join(map(str, found)), "Choose by --trajectories."
        )
    return found[0] if found else None


def _neighbours(folder: Path) -> Iterator[Path]:
    """Folders beside it, itself left out, by name."""
    here = folder.resolve()
    return (path for path in sorted(here.parent.iterdir()) if path.is_dir() and path.resolve() != here)


def _manifest(folder: Path) -> dict[str, Any]:
    """A neighbour's manifest; empty for one that is no finished stage, which is then no candidate."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _input(manifest: dict[str, Any], name: str) -> str | None:
    return next((row["sha256"] for row in manifest.get("inputs", ()) if row["name"] == name), None)
