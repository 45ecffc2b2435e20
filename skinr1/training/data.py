"""JSON-lines rows -> a data set whose images are decoded when read, filtered by length, never truncated."""

from pathlib import Path
from typing import Any

import PIL.Image
from datasets import Dataset, Image, List, disable_progress_bars
from transformers import ProcessorMixin

from skinr1.errors import UserError
from skinr1.stage import canonical_json, read_jsonl, write_jsonl

FILTERED = "filtered.jsonl"
disable_progress_bars()  # a run shows one bar, its own


def load_rows(path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> Dataset:
    """Rows with ``columns``, image paths resolved against the file's folder and decoded lazily.

    Args:
        optional: further columns; None where a row lacks one.

    Raises:
        UserError: the file is empty, a column is missing, or an image does not exist.
    """
    rows = []
    for number, row in enumerate(read_jsonl(path), 1):
        missing = [column for column in columns if column not in row]
        if missing:
            raise UserError(
                f"column {missing[0]!r} is missing", f"{path}:{number}", f"A row needs {', '.join(columns)}."
            )
        row["images"] = [str(_existing(path.parent / name, f"{path}:{number}")) for name in row["images"]]
        rows.append({column: row.get(column) for column in (*columns, *optional)})
    if not rows:
        raise UserError("no rows to train on", str(path), "Build it from a source with cases in this split.")
    return Dataset.from_list(rows).cast_column("images", List(Image()))


def prompt_keys(rows: Dataset) -> list[tuple[str, ...]]:
    """Prompt and image paths of each row; equal where rows can share a copy of both. Decodes no image."""
    closed = rows.select_columns(["prompt", "images"]).cast_column("images", List(Image(decode=False)))
    return [(canonical_json(row["prompt"]), *(image["path"] for image in row["images"])) for row in closed]


def _existing(path: Path, where: str) -> Path:
    if not path.is_file():
        raise UserError(f"image {path.name} does not exist", where, "Rebuild the stage, or restore the image.")
    return path


def token_count(row: dict[str, Any], processor: ProcessorMixin) -> int:
    """Tokens of a row: chat text plus visual tokens of its images at the processor's pixel budget.

    Args:
        row: its ``images`` are (width, height).
    """
    conversation = [*row["prompt"], *row.get("completion", [])]
    text = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt="completion" not in row)
    merge = processor.image_processor.merge_size**2
    # each image already stands in the text as one placeholder
    visual = sum(
        processor.image_processor.get_number_of_image_patches(height, width, {}) // merge - 1
        for width, height in row["images"]
    )
    return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"]) + visual


def _size(image: dict[str, Any]) -> tuple[int, int]:
    with PIL.Image.open(image["path"]) as opened:
        return opened.size


def filter_long(
    rows: Dataset, processor: ProcessorMixin, limit: int | None, output: Path, main: bool, listed: str = FILTERED
) -> Dataset:
    """Leaves out rows longer than ``limit`` tokens, and lists them in ``filtered.jsonl`` or the file ``listed``.

    Raises:
        UserError: nothing is left.
    """
    if limit is None:
        return rows
    closed = rows.cast_column("images", List(Image(decode=False)))  # a size stands in the file's head
    lengths = [token_count({**row, "images": list(map(_size, row["images"]))}, processor) for row in closed]
    keep = [i for i, length in enumerate(lengths) if length <= limit]
    dropped = [{"row": i, "tokens": length} for i, length in enumerate(lengths) if length > limit]
    if main:
        write_jsonl(output / listed, dropped)
        if dropped:
            print(f"left out {len(dropped)} of {len(rows)} rows longer than {limit} tokens: {output / listed}")
    if not keep:
        raise UserError(
            f"every row is longer than {limit} tokens", str(output), f"Raise the limit; longest {max(lengths)}."
        )
    return rows.select(keep)
