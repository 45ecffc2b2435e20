"""VERL's parquet: ``data_source``, ``prompt``, ``images``, ``ability``, ``reward_model``, ``extra_info``.

Images travel inside the rows as ``{"bytes", "path"}``, which VERL's data set decodes. The ground truth of a rule is a
JSON string with the columns that our rewards read; rows with an answer carry it there too, as style ``sft``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skinr1.export.reading import Example, batches, digest, shard_name, suffix, tagged
from skinr1.stage import canonical_json

ROWS = 1000  # of a shard: about 100 MB of pictures


def write_verl(split: str, rows: Iterable[Example], output: Path) -> int:
    """Writes ``<split>-NNNNN.parquet``; returns the number of rows."""
    import pyarrow
    from pyarrow import parquet

    text = pyarrow.string()
    schema = pyarrow.schema(
        {
            "data_source": text,
            "prompt": pyarrow.list_(pyarrow.struct({"role": text, "content": text})),
            "images": pyarrow.list_(pyarrow.struct({"bytes": pyarrow.binary(), "path": text})),
            "ability": text,
            "reward_model": pyarrow.struct({"style": text, "ground_truth": text}),
            "extra_info": pyarrow.struct({"split": text, "index": pyarrow.int64(), "case_id": text, "more": text}),
        }
    )
    output.mkdir(parents=True, exist_ok=True)
    total = 0
    for number, part in enumerate(batches(_rows(split, rows), ROWS)):
        target = output / shard_name(split, number, "parquet")
        partial = target.with_name(f".{target.name}.partial")
        parquet.write_table(pyarrow.Table.from_pylist(part, schema), partial, compression="zstd")
        partial.replace(target)
        total += len(part)
    return total


def _rows(split: str, rows: Iterable[Example]) -> Iterator[dict[str, Any]]:
    for index, example in enumerate(rows):
        turns = [{"role": "system", "content": example.system}] if example.system else []
        turns.append({"role": "user", "content": tagged(example)})
        truth = {"answer": example.answer} if example.answer is not None else example.more
        yield {
            "data_source": str(example.row.get("source", "skinr1")),
            "prompt": turns,
            "images": [_picture(path) for path in example.images],
            "ability": "dermatology",
            "reward_model": {
                "style": "rule" if example.answer is None else "sft",
                "ground_truth": canonical_json(truth),
            },
            "extra_info": {
                "split": split,
                "index": index,
                "case_id": example.case_id,
                "more": canonical_json(example.more),
            },
        }


def _picture(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": data, "path": f"{digest(data)[:32]}{suffix(path)}"}
