"""The stage folder: whole files or none, the same bytes, errors that name the line."""

import json
import os
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.stage import read_jsonl, read_manifest, write_atomic, write_jsonl, write_manifest


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(("line", "message"), [("{", "not JSON"), ("[1]", "not a JSON object")])
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, message: str):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a":1}}\n{line}\n')
    with pytest.raises(UserError, match=rf"{message}.*rows\.jsonl:2"):
        list(read_jsonl(path))


def test_rows_survive_and_key_order_does_not_matter(tmp_path: Path):
    write_jsonl(tmp_path / "a", [{"x": 1, "é": "ü"}])
    write_jsonl(tmp_path / "b", [{"é": "ü", "x": 1}])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(read_jsonl(tmp_path / "a")) == [{"x": 1, "é": "ü"}]


def test_the_manifest_holds_hashes_not_paths(tmp_path: Path):
    source = tmp_path / "deep" / "input.txt"
    write_atomic(source, "content")
    first, second = (
        write_manifest(tmp_path / name, "stage", config={"k": 1}, inputs=[source], seed=3, counts={"rows": 2})
        for name in ("one", "two")
    )
    assert first == second == read_manifest(tmp_path / "one")
    assert str(tmp_path) not in json.dumps(first)


def test_an_unfinished_stage_says_so(tmp_path: Path):
    with pytest.raises(UserError, match="no finished stage here"):
        read_manifest(tmp_path)
