"""Rows of a finished stage, in the one form that all formats are written from."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from skinr1.errors import UserError
from skinr1.scale.tables import read_rows, table_files
from skinr1.stage import file_hash

T = TypeVar("T")
TAG = "<image>"
SPLITS = ("train", "validation")
_NAMED = frozenset({"prompt", "completion", "images", "case_id"})
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        key: split and number: unique, and safe as a file name.
        system: the system message; None where the row has none.
        question: the user's text, without its image placeholders, which come first.
        answer: what a model should write; None in rows for reinforcement.
        images: files that exist.
        more: all other columns: kind and provenance, or the truth of a reward.
    """

    key: str
    case_id: str
    system: str | None
    question: str
    answer: str | None
    images: tuple[Path, ...]
    row: Mapping[str, Any]

    @property
    def more(self) -> dict[str, Any]:
        return {name: value for name, value in self.row.items() if name not in _NAMED}


def examples(folder: Path, split: str) -> Iterator[Example]:
    """The rows of a split, in order; none where the stage wrote no such file.

    Raises:
        UserError: a row is not in TRL's conversational columns, or its image does not exist.
    """
    if not written(folder, split):
        return
    for number, row in enumerate(read_rows(folder, split), 1):
        where = f"{folder / split}, row {number}"
        try:
            texts = {message["role"]: _text(message["content"]) for message in row["prompt"]}
            images = tuple(_existing(folder / name, where) for name in row["images"])
            answer = _text(row["completion"][0]["content"]) if "completion" in row else None
            question = texts["user"]
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"not a training row ({type(error).__name__}: {error})", where, "Give a folder of trajectories or rl."
            ) from None
        key = f"{split}-{number:08d}"
        yield Example(key, str(row.get("case_id", key)), texts.get("system"), question, answer, images, row)


def written(folder: Path, split: str) -> list[Path]:
    """The files of a split; none where the stage wrote no such split."""
    return [path for path in table_files(folder, split) if path.is_file()]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _existing(path: Path, where: str) -> Path:
    if not path.is_file():
        raise UserError(f"image {path.name} does not exist", where, "Rebuild the stage, or restore the image.")
    return path


def tagged(example: Example) -> str:
    """The question behind one tag an image, as formats want it that find images by their tags.

    Raises:
        UserError: a text holds the tag itself, so that tags and images would not match.
    """
    if any(TAG in text for text in (example.system, example.question, example.answer) if text):
        raise UserError(f"text holds the tag {TAG}", example.key, "Export it to the format trl or webdataset.")
    return TAG * len(example.images) + example.question


def suffix(path: Path) -> str:
    """The file's ending in lower case. Raises UserError for one that is no picture's."""
    ending = path.suffix.lower()
    if ending not in _SUFFIXES:
        raise UserError(f"unknown kind of picture {ending or '(none)'}", str(path), "Convert it to PNG or JPEG.")
    return ending


class Pictures:
    """Copies images into ``output/images`` under the hash of their content, each once."""

    def __init__(self, output: Path):
        self.output = output
        self.named: dict[Path, str] = {}

    def name(self, path: Path) -> str:
        """The copy's path, relative to the output."""
        if path not in self.named:
            self.named[path] = f"images/{file_hash(path)[:32]}{suffix(path)}"
            target = self.output / self.named[path]
            if not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{target.name}.partial")
                shutil.copyfile(path, partial)
                partial.replace(target)
        return self.named[path]


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` rows; the last may be shorter."""
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


def shard_name(split: str, number: int, ending: str) -> str:
    """``train-00003.parquet``: numbered from 0, so that readers' brace patterns fit."""
    return f"{split}-{number:05d}.{ending}"


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
