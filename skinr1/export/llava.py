"""LLaVA's JSON in the ShareGPT form that LLaMA-Factory reads, with its ``dataset_info.json``.

A row is ``{"id", "conversations": [{"from", "value"}…], "images"}`` with an ``<image>`` tag for each image before the
question. Rows without an answer (reinforcement) end with the question; their truth is in further columns.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skinr1.export.reading import Example, Pictures, tagged
from skinr1.stage import write_atomic

INFO = "dataset_info.json"


def write_llava(split: str, rows: Iterable[Example], output: Path) -> int:
    """Writes ``<split>.json``, an entry in ``dataset_info.json`` and ``images/``; returns the number of rows.

    Raises:
        UserError: a text holds the image tag itself, so that tags and images would not match.
    """
    pictures, target = Pictures(output), output / f"{split}.json"
    partial = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with open(partial, "w", encoding="utf-8") as handle:
        handle.write("[")
        for example in rows:
            text = json.dumps(_row(example, pictures), ensure_ascii=False, sort_keys=True)
            handle.write(("" if count == 0 else ",") + "\n" + text)
            count += 1
        handle.write("\n]\n")
    partial.replace(target)
    _register(output / INFO, split)
    return count


def _row(example: Example, pictures: Pictures) -> dict[str, Any]:
    turns = [{"from": "human", "value": tagged(example)}]
    if example.answer is not None:
        turns.append({"from": "gpt", "value": example.answer})
    return {
        **example.more,
        "id": example.key,
        "case_id": example.case_id,
        "conversations": turns,
        "system": example.system or "",
        "images": [pictures.name(path) for path in example.images],
    }


def _register(path: Path, split: str) -> None:
    """LLaMA-Factory finds data sets by this file's entries."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known[f"skinr1_{split}"] = {
        "file_name": f"{split}.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system", "images": "images"},
    }
    write_atomic(path, json.dumps(known, indent=2, sort_keys=True) + "\n")
