"""The cases stage: same bytes however it is run, nothing dropped silently, nothing lost when killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from data_builders.cases import CasesConfig, build, main
from skinr1.cases import Role, read_cases
from skinr1.errors import UserError
from skinr1.splits import audit
from skinr1.stage import read_jsonl, read_manifest
from tests.folders import digests

ROOT = Path(__file__).parents[2]
PAD = ROOT.parent / "shared" / "data" / "pad_ufes_20"
SMALL = {"caption_patients": 3, "dense_patients": 6, "sparse_patients": 10, "workers": 1}


def start(output: Path, hash_seed: str = "0", **config) -> subprocess.Popen:
    code = (
        f"from data_builders.cases import *\nbuild(CasesConfig(output={str(output)!r}, **{config!r}), progress=False)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)


def test_same_bytes_under_two_hash_seeds_and_any_number_of_workers(tmp_path):
    build(CasesConfig(output=str(tmp_path / "here"), **SMALL), progress=False)
    runs = [
        start(tmp_path / "a", "1", **SMALL),
        start(tmp_path / "b", "2", **{**SMALL, "workers": 2}),
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert digests(tmp_path / "a") == digests(tmp_path / "b") == digests(tmp_path / "here")


def test_what_the_folder_holds(tmp_path):
    counts = build(CasesConfig(output=str(tmp_path), **SMALL), progress=False)
    cases = list(read_cases(tmp_path))
    assert len(cases) == counts["cases"] and counts["rejected"] == 0 and audit(cases) == []
    for case in cases:
        with Image.open(tmp_path / case.images[0]) as image:
            assert image.size == (112, 112) and image.mode == "RGB" and not image.info
    assert all(c.split == "train" for c in cases if c.role is Role.CAPTION)
    manifest = read_manifest(tmp_path)
    assert manifest["notes"] == ["rendered, not clinical"] and manifest["licences"] == {"CC0-1.0": len(cases)}
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_program_leaves_a_data_card(tmp_path):
    sizes = [part for key, value in SMALL.items() for part in (f"--{key}", str(value))]
    main(["--output", str(tmp_path), *sizes])
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["totals"]["cases"] == len(list(read_cases(tmp_path))) and card["gaps"][0]["kind"] == "rendered"


def test_killed_build_goes_on_to_the_same_bytes(tmp_path):
    config = {**SMALL, "sparse_patients": 150}
    run = start(tmp_path / "killed", **config)
    images = tmp_path / "killed" / "images"
    deadline = time.monotonic() + 60
    while len(list(images.glob("*.png"))) < 20 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = {p.name: p.stat().st_mtime_ns for p in images.glob("*.png")}
    assert done and not (tmp_path / "killed" / "manifest.json").exists()
    (images / ".half.png.1.partial").write_bytes(b"half")
    for name in ("killed", "whole"):
        build(CasesConfig(output=str(tmp_path / name), **config), progress=False)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert all((images / name).stat().st_mtime_ns == when for name, when in done.items())


def test_another_configuration_does_not_reuse_the_folder(tmp_path):
    build(CasesConfig(output=str(tmp_path), **SMALL), progress=False)
    before = digests(tmp_path)
    with pytest.raises(UserError, match="another configuration"):
        build(CasesConfig(output=str(tmp_path), seed=1, **SMALL), progress=False)
    assert digests(tmp_path) == before


@pytest.fixture
def own(tmp_path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    rows = ["image,label,patient_id"]
    for i in range(6):
        Image.new("RGB", (60 + i, 50), (200, 150, 100 + i)).save(folder / f"ok{i}.png")
        rows.append(f"ok{i}.png,vitiligo,p{i}")
    Image.effect_noise((300, 300), 80).convert("RGB").save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:2000])
    Image.new("L", (20000, 30)).save(folder / "wide.png")
    Image.new("L", (1, 1)).save(folder / "dot.png")
    (folder / "text.png").write_text("hello")
    rows += [f"{n},vitiligo,q" for n in ("cut.jpg", "wide.png", "dot.png", "text.png", "none.png", "ok0.png")]
    rows.append("ok1.png,unheard of,q")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_bad_rows_are_collected_with_reasons(own, tmp_path):
    config = CasesConfig(source="folder", path=str(own / "cases.csv"), output=str(tmp_path / "out"), workers=1)
    counts = build(config, progress=False)
    reasons = " | ".join(row["reason"] for row in read_jsonl(tmp_path / "out" / "rejected.jsonl"))
    assert counts["cases"] == 6 and counts["rejected"] == 7
    for part in (
        "truncated",
        "too thin",
        "too small",
        "not an image",
        "not found",
        "occurs twice",
        "unknown diagnosis",
    ):
        assert part in reasons
    assert str(tmp_path) not in reasons


def test_nothing_usable_still_leaves_the_reasons(tmp_path):
    (tmp_path / "cases.csv").write_text("image,label\nnone.png,vitiligo\n")
    config = CasesConfig(source="folder", path=str(tmp_path / "cases.csv"), output=str(tmp_path / "out"), workers=1)
    with pytest.raises(UserError, match="no usable case"):
        build(config, progress=False)
    assert len(list(read_jsonl(tmp_path / "out" / "rejected.jsonl"))) == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"source": "ham"}, "unknown source"),
        ({"source": "folder"}, "needs a path"),
        ({"source": "pad_ufes_20", "path": "/no/such"}, "input file not found"),
        ({"train_fraction": 0.0, "validation_fraction": 0.0, "test_fraction": 0.0}, "fraction"),
        ({"dense_patients": 0, "sparse_patients": 1}, "split would be empty"),
        ({"taxonomy": "/no/such.yaml"}, "taxonomy file not found"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"workers": 0}, "workers"),
    ],
)
def test_bad_configuration(tmp_path, more, reason):
    with pytest.raises(UserError, match=reason):
        build(CasesConfig(**{**SMALL, "output": str(tmp_path / "out"), **more}), progress=False)


@pytest.mark.real_data
@pytest.mark.skipif(not PAD.is_dir(), reason="PAD-UFES-20 is not beside the repository in shared/data/pad_ufes_20")
def test_real_photographs(tmp_path):
    config = CasesConfig(
        source="pad_ufes_20", path=str(PAD), output=str(tmp_path), train_fraction=0.7, validation_fraction=0.3,
        test_fraction=0.0,
    )  # fmt: skip
    counts = build(config, progress=False)
    cases = list(read_cases(tmp_path))
    assert counts["cases"] > 100 and audit(cases) == [] and counts["diagnoses"] >= 6
    assert {c.split for c in cases} == {"train", "validation"}
    assert read_manifest(tmp_path)["licences"] == {"CC-BY-4.0": counts["cases"]}


def test_a_picture_exchanged_under_its_name_is_prepared_again(tmp_path: Path):
    (tmp_path / "in").mkdir()
    table = "".join(f"{n}.png,melanoma,p{n},papule\n" for n in range(10))
    (tmp_path / "in" / "cases.csv").write_text("image,label,patient_id,findings\n" + table)
    prepared = []
    for shade in (40, 200):
        for n in range(10):
            Image.new("RGB", (64, 64), (shade, n, 0)).save(tmp_path / "in" / f"{n}.png")
        build(
            CasesConfig(source="folder", path=str(tmp_path / "in" / "cases.csv"), output=str(tmp_path / "out")), False
        )
        first = next(read_cases(tmp_path / "out"))
        prepared.append(Image.open(tmp_path / "out" / first.images[0]).getpixel((5, 5))[0])
        assert first.role == "dense", "findings of one's own images are kept"
    assert prepared[0] < 60 < 180 < prepared[1]


def test_a_cell_too_many_is_said(tmp_path: Path):
    (tmp_path / "cases.csv").write_text("image,label\n0.png,melanoma,asymmetry\n")
    with pytest.raises(UserError, match="more cells than the header"):
        build(CasesConfig(source="folder", path=str(tmp_path / "cases.csv"), output=str(tmp_path / "out")), False)
