"""The stage folder: whole files or none, the same bytes, errors that name the line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.errors import UserError
from skinr1.stage import read_jsonl, read_manifest, write_atomic, write_jsonl, write_manifest


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_atomic(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "not JSON"), ("[1]", "not a JSON object"), ("", "not JSON"), ('{"a":"\xef"}', "not UTF-8")],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, message: str):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a":1}}\n{line}\n', encoding="latin-1")
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


@pytest.mark.parametrize("content", [b"{", b"\xef"])
def test_a_broken_manifest_is_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match="manifest is not JSON"):
        read_manifest(tmp_path)


def test_what_a_killed_build_left_half_written_is_gone_when_the_stage_closes(tmp_path: Path):
    (tmp_path / ".train.jsonl.1.partial").write_text("half")
    (tmp_path / ".note").write_text("not ours")
    write_manifest(tmp_path, "stage", config={})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".note", "manifest.json"]


def test_a_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"file not found: .*none\.jsonl"):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_the_manifest_follows_the_content_of_its_inputs(tmp_path: Path):
    source = tmp_path / "input.txt"
    hashes = []
    for content in ("one", "two"):
        write_atomic(source, content)
        made = write_manifest(tmp_path / content, "stage", config={}, inputs=[source])
        hashes.append(made["inputs"][0]["sha256"])
    assert hashes[0] != hashes[1]
    assert (tmp_path / "one" / "manifest.json").read_bytes() != (tmp_path / "two" / "manifest.json").read_bytes()


@given(st.text(), st.text(), st.text())
def test_a_user_error_is_always_one_line(what: str, where: str, do: str):
    assert len(str(UserError(what, where, do)).splitlines()) == 1
