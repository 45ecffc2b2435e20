"""One stage on every engine, in both formats, and killed again and again: the same rows, none lost, none made twice."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from data_builders import trajectories
from data_builders.trajectories import TrajectoriesConfig
from skinr1.scale import cut, read_rows
from tests.data_builders.test_trajectories import SIGNS, write_cases
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


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_engines_give_the_same_bytes(run, engine):
    if engine == "ray":
        pytest.importorskip("ray.data", reason="needs skinr1[scale]")
    build(run, engine, engine=engine, workers=2)
    assert files(run / engine) == files(run / "whole") and len(files(run / "whole")) == 5


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
    assert files(run / "killed") == files(run / "whole")
