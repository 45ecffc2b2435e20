"""One stage on every engine, in both formats, and killed again and again: the same rows, none lost, none made twice."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from data_builders import captions, cases, knowledge, rl, splits, trajectories
from data_builders.trajectories import TrajectoriesConfig
from skinr1.errors import UserError
from skinr1.neighbours import locate
from skinr1.scale import cut, read_rows
from tests.data_builders.test_trajectories import SIGNS, write_cases
from tests.folders import digests
from tests.skinr1.grounded import NEVUS, TREE, case, write_knowledge

COUNT = 3500  # four pieces


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    write_cases(folder / "cases", [case(NEVUS, present=SIGNS, case_id=f"c{n}", age=n % 90) for n in range(COUNT)])
    write_knowledge(folder / "knowledge")
    (folder / "tree.yaml").write_text(TREE, encoding="utf-8")
    build(folder, "whole")
    return folder


def build(run: Path, output: str, **more) -> None:
    places = {"cases": str(run / "cases"), "knowledge": str(run / "knowledge"), "taxonomy": str(run / "tree.yaml")}
    config = TrajectoriesConfig(**places, output=str(run / output), kinds=["direct"], **more)
    trajectories.build(config, progress=False)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_engines_give_the_same_bytes(run, engine):
    if engine == "ray":
        pytest.importorskip("ray.data", reason="needs skinr1[scale]")
    build(run, engine, engine=engine, workers=2)
    assert digests(run / engine) == digests(run / "whole") and len(digests(run / "whole")) == 5


def test_parquet_holds_the_same_rows(run):
    pytest.importorskip("pyarrow", reason="needs skinr1[scale]")
    build(run, "parquet", format="parquet")
    for name in ("train", "validation", "sentences"):
        assert list(read_rows(run / "parquet", name)) == list(read_rows(run / "whole", name))
    assert {path.suffix for path in (run / "parquet").glob("train*")} == {".parquet"}


def test_ten_kills_lose_nothing_and_repeat_nothing(run, monkeypatch):
    monkeypatch.setattr(trajectories, "cut", lambda files: cut(files, 100))
    work, chance, kept = run / "killed" / "work", random.Random(7), {}
    start = time.monotonic()
    build(run, "timed")
    whole = time.monotonic() - start
    for _ in range(10):
        process = multiprocessing.get_context("fork").Process(target=build, args=(run, "killed"))
        process.start()
        process.join(chance.uniform(0.15 * whole, 0.6 * whole))
        process.kill()
        process.join()
        if (run / "killed" / "manifest.json").exists():
            break  # the pieces were all made between the kills
        found = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in work.glob("*.shard")}
        assert kept.items() <= found.items(), "a finished shard was lost or made again"
        kept = found
    assert kept, "no kill met a build at work"
    build(run, "killed")
    assert digests(run / "killed") == digests(run / "whole")


SMALL = {"caption_patients": 3, "dense_patients": 8, "sparse_patients": 12}


def test_what_follows_reads_parquet_cases_as_it_reads_lines(tmp_path):
    pytest.importorskip("pyarrow", reason="needs skinr1[scale]")
    knowledge.main(["--output", str(tmp_path / "knowledge")])
    for form in ("jsonl", "parquet"):
        here = tmp_path / form
        inputs = ["--cases", str(here / "cases"), "--knowledge", str(tmp_path / "knowledge")]
        options = [f"--{name}={value}" for name, value in SMALL.items()]
        cases.main(["--output", str(here / "cases"), "--format", form, *options])
        trajectories.main([*inputs, "--output", str(here / "trajectories")])
        captions.main([*inputs, "--output", str(here / "captions")])
        rl.main(["--cases", str(here / "cases"), "--output", str(here / "rl")])
        splits.main(["--cases", str(here / "cases"), "--output", str(here / "splits")])
    for name in ("trajectories/train", "captions/train", "rl/train", "splits/cases"):
        lines, other = ((tmp_path / form / f"{name}.jsonl").read_bytes() for form in ("jsonl", "parquet"))
        assert lines == other, name
    with pytest.raises(UserError, match="gallery reads JSON lines"):
        locate(tmp_path / "parquet" / "cases")


@pytest.mark.slow
def test_ray_prepares_the_same_pictures_and_cases(tmp_path):
    pytest.importorskip("ray.data", reason="needs skinr1[scale]")
    for engine in ("local", "ray"):
        config = cases.CasesConfig(output=str(tmp_path / engine), engine=engine, workers=2, **SMALL)
        cases.build(config, progress=False)
    here, there = (digests(tmp_path / engine) for engine in ("local", "ray"))
    assert here == there and any(name.endswith(".png") for name in here)
