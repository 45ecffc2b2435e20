"""Pieces, tables and engines: nothing lost, nothing twice, the same bytes whoever does the work."""

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1.cases import Case, Role, read_cases
from skinr1.errors import UserError
from skinr1.scale import Engine, Shards, Table, cut, join, read_rows, rows, table_files
from skinr1.scale.schemas import schema_of
from skinr1.stage import write_jsonl
from tests.skinr1.doubling import double, refuse

parquet = pytest.importorskip("pyarrow.parquet", reason="needs skinr1[scale]")


def write(folder: Path, count: int, name: str = "in") -> Path:
    write_jsonl(folder / f"{name}.jsonl", [{"n": n, "text": "ä\t" * (n % 5)} for n in range(count)])
    return folder / f"{name}.jsonl"


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 40), size=st.integers(1, 12))
def test_pieces_hold_every_row_once_and_in_order(tmp_path_factory, count, size):
    path = write(tmp_path_factory.mktemp("pieces"), count)
    pieces = cut([path, path], size)
    assert [row["n"] for piece in pieces for _, row in rows(piece)] == [*range(count), *range(count)]
    assert [piece.number for piece in pieces] == list(range(len(pieces))) and all(p.rows <= size for p in pieces)


def test_a_piece_names_the_line_that_is_no_row(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n":0}\n{"n":1}\n{"n":\n')
    with pytest.raises(UserError, match=r"in\.jsonl:3"):
        [row for piece in cut([tmp_path / "in.jsonl"], 2) for row in rows(piece)]
    with pytest.raises(UserError, match="file not found"):
        cut([tmp_path / "none.jsonl"])


def made(folder: Path, engine: Engine, token: str = "t") -> dict[str, bytes]:
    output = folder / "out"
    shards = Shards(output, token)
    done = shards.build(cut([folder / "in.jsonl"], 10), partial(double, folder / "log"), engine, "", progress=False)
    counts = join(done, {name: Table(output, name) for name in ("even", "odd")})
    assert counts == {"seen": 95}
    return {path.name: path.read_bytes() for path in output.glob("*.jsonl")}


def test_streams_are_joined_in_order_and_errors_pass(tmp_path):
    write(tmp_path, 95)
    found = made(tmp_path, Engine())
    assert [json.loads(line)["n"] for line in found["odd.jsonl"].splitlines()] == [2 * n for n in range(1, 95, 2)]
    assert len(found["even.jsonl"].splitlines()) == 48
    with pytest.raises(UserError, match="no"):
        Shards(tmp_path / "no", "t").build(cut([tmp_path / "in.jsonl"], 10), refuse, Engine(), "", progress=False)


def test_finished_shards_are_kept_and_others_made_again(tmp_path):
    path = write(tmp_path, 95)
    first = made(tmp_path, Engine())
    shards = sorted((tmp_path / "out" / "work").iterdir())
    shards[4].unlink()
    (tmp_path / "out" / "work" / ".x.1.partial").write_text("half")
    assert made(tmp_path, Engine()) == first
    assert (tmp_path / "log").read_text().split()[10:] == ["4"]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[2:], lines[1]]))  # the first and the last piece change
    made(tmp_path, Engine())
    assert (tmp_path / "log").read_text().split()[11:] == [str(n) for n in range(10)]
    made(tmp_path, Engine(), token="other settings")
    assert len((tmp_path / "log").read_text().split()) == 31
    assert len(list((tmp_path / "out" / "work").iterdir())) == 10, "shards of other settings are removed"


def test_a_table_that_is_not_finished_leaves_the_old_one(tmp_path):
    write(tmp_path, 3)
    before = (tmp_path / "in.jsonl").read_bytes()
    with pytest.raises(ZeroDivisionError), Table(tmp_path, "in") as table:
        table.add({"n": 1 / 0})
    assert (tmp_path / "in.jsonl").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


TONE = {"scale": "fitzpatrick", "value": 3, "provenance": "clinician"}
FULL = {
    "case_id": "a",
    "source": "s",
    "images": ["i.png", "j.png"],
    "role": "dense",
    "label": "x",
    "diagnoses": ["d"],
    "differential": [["d", 0.6], ["e", 0.25]],
    "findings": [{"concept": "papule", "present": False}],
    "skin_tone": TONE,
    "other_tones": [{**TONE, "scale": "monk"}],
    "age": 40,
    "sex": "female",
    "history": ["itch"],
    "modalities": ["clinical", "dermoscopic"],
    "licence": "CC0-1.0",
    "split": "train",
}


def cases(count: int) -> list[Case]:
    bare = {"source": "s", "images": ["i.png"], "role": Role.SPARSE, "licence": "CC0-1.0"}
    return [Case.model_validate({**(FULL if n % 2 else bare), "case_id": f"c{n}"}) for n in range(count)]


def save(folder: Path, file_format: str, made: list[Case]) -> dict[str, bytes]:
    with Table(folder, "cases", file_format, "cases") as table:
        for case in made:
            table.add(case.model_dump(mode="json"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parquet_shards_hold_the_same_cases_in_files_of_a_fixed_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("skinr1.scale.tables.SHARD", 20)
    monkeypatch.setattr("skinr1.scale.tables.GROUP", 5)
    wanted = cases(47)
    files = save(tmp_path / "a", "parquet", wanted)
    assert (
        sorted(files) == [f"cases-0000{n}.parquet" for n in range(3)]
        and save(tmp_path / "b", "parquet", wanted) == files
    )
    assert [parquet.read_metadata(path).num_rows for path in table_files(tmp_path / "a", "cases")] == [20, 20, 7]
    assert list(read_cases(tmp_path / "a")) == wanted
    pieces = cut(table_files(tmp_path / "a", "cases"))
    assert [piece.rows for piece in pieces] == [5] * 8 + [5, 2]
    assert [row["case_id"] for piece in pieces for _, row in rows(piece)] == [case.case_id for case in wanted]
    save(tmp_path / "a", "parquet", wanted[:3])
    assert len(list((tmp_path / "a").iterdir())) == 1, "shards of a longer table before are gone"
    save(tmp_path / "a", "jsonl", wanted[:3])
    assert list(read_cases(tmp_path / "a")) == wanted[:3] and len(list((tmp_path / "a").iterdir())) == 1


def test_the_schema_of_cases_has_every_field_and_refuses_others(tmp_path):
    assert set(schema_of("cases").names) == set(Case.model_fields)
    with pytest.raises(ValueError, match="colour"), Table(tmp_path, "cases", "parquet", "cases") as table:
        table.add({**FULL, "colour": "red"})
    assert not list(tmp_path.iterdir())


def test_an_empty_table_is_a_file_all_the_same(tmp_path):
    for file_format in ("jsonl", "parquet"):
        save(tmp_path / file_format, file_format, [])
        assert list(read_rows(tmp_path / file_format, "cases")) == []
    with pytest.raises(UserError, match="file not found"):
        list(read_rows(tmp_path, "cases"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Engine("spark"), "unknown engine"),
        (lambda: Engine(workers=0), "workers"),
        (lambda: Table(Path("x"), "y", "csv"), "unknown format"),
    ],
)
def test_bad_settings(make, reason):
    with pytest.raises(UserError, match=reason):
        make()
