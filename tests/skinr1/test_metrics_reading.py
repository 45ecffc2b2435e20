"""Predictions files as columns: one process or several, in any order."""

from dataclasses import fields

import numpy as np
import pytest

from skinr1.errors import UserError
from skinr1.metrics import reading
from skinr1.metrics.columns import Coded, bits_of, popcount
from skinr1.stage import write_jsonl
from tests.skinr1.outcome_rows import ARRAYS, BCC, ECZEMA, MELANOMA, NEVUS, TREE, full_row, row


def same(one, other):
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(
        a.values == b.values and np.array_equal(a.codes, b.codes) if isinstance(a, Coded) else np.array_equal(a, b)
        for a, b in pairs
    )


@pytest.fixture
def file(tmp_path):
    truths = [NEVUS, MELANOMA, ECZEMA, BCC]
    rows = [full_row(i, truths[i % 4], truths[i % 3]) for i in range(20)] + [row(20, NEVUS, None)]
    write_jsonl(tmp_path / "predictions.jsonl", rows)
    write_jsonl(tmp_path / "backwards.jsonl", rows[::-1])
    return tmp_path / "predictions.jsonl"


def test_pieces_and_order_make_no_difference(file, monkeypatch):
    whole = reading.read_file(file, TREE)
    monkeypatch.setattr(reading, "PIECE", 6)
    assert same(whole, reading.read_file(file, TREE))
    assert same(whole, reading.read_file(file.with_name("backwards.jsonl"), TREE))
    assert len(whole) == 21 and not whole.valid[-1] and whole.reason.values[whole.reason.codes[-1]] == "think"


@pytest.mark.slow
def test_several_processes_make_no_difference(file, monkeypatch):
    whole = reading.read_file(file, TREE)
    monkeypatch.setattr(reading, "PIECE", 6)
    monkeypatch.setattr(reading, "ALONE", 6)
    assert same(whole, reading.read_file(file, TREE, processes=2))


def test_columns_hold_what_the_report_says(file):
    whole = reading.read_file(file, TREE)
    assert [ARRAYS.ids[node] for node in whole.said[:3]] == [NEVUS, MELANOMA, ECZEMA]
    assert (whole.signs_said[0] == bits_of(["papule", "irregular network"])).all() and popcount(whole.signs_said)[
        0
    ] == 2
    assert whole.probability[0].tolist() == [100, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no predictions"),
        ([row(0, NEVUS, NEVUS), row(0, NEVUS, NEVUS)], r"answered twice: .*\(c000\)"),
        ([row(0, NEVUS, NEVUS), {"case_id": "a"}], r"predictions.jsonl:2"),
        ([row(0, NEVUS, NEVUS) | {"findings": ["sparkle"]}], "unknown concept: 'sparkle'"),
        ([row(0, NEVUS, NEVUS) | {"differential": [["nowhere", 1.0]]}], "no such diagnosis path: 'nowhere'"),
    ],
)
def test_bad_files_stop_with_one_line(tmp_path, rows, message):
    write_jsonl(tmp_path / "predictions.jsonl", rows)
    with pytest.raises(UserError, match=message):
        reading.read_file(tmp_path / "predictions.jsonl", TREE)
