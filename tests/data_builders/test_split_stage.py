"""Several folders of cases become one sound split, with the audit that shows it; a leak stops the build."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import ImageOps

from data_builders.splits import SplitsConfig, build
from skinr1.cases import CASES_FILE, Case, Role, read_cases
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.splits import audit
from skinr1.stage import MANIFEST, read_manifest, write_jsonl, write_manifest
from tests.folders import digests
from tests.skinr1.planted import COPIES, texture

ROOT = Path(__file__).parents[2]


def folder(path: Path, source: str, pictures: dict[str, object], **fields) -> Path:
    """A finished cases stage; ``fields`` maps a field to its value by case number."""
    (path / "images").mkdir(parents=True)
    rows = []
    for number, (name, picture) in enumerate(pictures.items()):
        picture.save(path / "images" / f"{name}.png")
        own = {key: values[number] for key, values in fields.items()}
        rows.append(
            Case(
                case_id=name,
                source=source,
                images=(f"images/{name}.png",),
                diagnoses=("ab"[number % 2],),
                licence="CC0-1.0",
                **{"role": Role.SPARSE, **own},
            ).model_dump(mode="json")
        )
    write_jsonl(path / CASES_FILE, rows)
    write_manifest(path, "cases", config={}, notes=["rendered, not clinical"])
    return path


@pytest.fixture
def two(tmp_path) -> list[str]:
    """Two data sets; b0 is a mirrored copy of a0, which lies in train, and itself lies in test."""
    first = folder(
        tmp_path / "one", "one", {f"a{n}": texture(n) for n in range(6)}, split=["train"] * 4 + ["validation", "test"]
    )
    copies = {f"b{n}": texture(20 + n) for n in range(5)} | {"b0": ImageOps.mirror(texture(0))}
    second = folder(tmp_path / "two", "two", copies, split=["test"] + ["train"] * 4)
    return [str(first), str(second)]


def config(folders: list[str], output: Path, **more) -> SplitsConfig:
    return SplitsConfig(cases=folders, output=str(output), workers=1, **more)


def test_leaks_between_folders_are_mended_and_told(two, tmp_path):
    output = tmp_path / "out"
    counts = build(config(two, output), progress=False)
    done = {case.case_id: case for case in read_cases(output)}
    assert done["a0"].split == done["b0"].split == "test" and audit(done.values()) == []
    assert counts["cases"] == 11 and counts["groups"] == 10 and counts["moved"] == 1
    assert counts["pairs_found"] == counts["pairs_across_splits_before"] == 1
    for case in done.values():
        assert load_image(output / case.images[0]).size == (160, 160)
    found = json.loads((output / "audit.json").read_text())
    assert found["faults"] == [] and found["official"]["conflicts"][0]["kept"] == "test"
    page = (output / "audit.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 and "http" not in page and "a0" in page
    assert "No group is in two splits" in page and str(tmp_path) not in page
    manifest = read_manifest(output)
    assert manifest["licences"] == {"CC0-1.0": 11} and manifest["notes"] == ["rendered, not clinical"]


def test_check_fails_on_a_leak_after_the_audit_is_written(two, tmp_path):
    output = tmp_path / "out"
    build(config(two, output), progress=False)
    with pytest.raises(UserError, match=r"split leaks.*a0.*audit\.html") as caught:
        build(config(two, output, check=True), progress=False)
    assert "\n" not in str(caught.value)
    assert not (output / MANIFEST).exists() and not (output / CASES_FILE).exists()
    assert "This split leaks" in (output / "audit.html").read_text()
    assert len(json.loads((output / "audit.json").read_text())["faults"]) == 1


def test_a_sound_split_passes_the_check_unchanged(two, tmp_path):
    build(config(two, tmp_path / "out"), progress=False)
    build(config([str(tmp_path / "out")], tmp_path / "again", check=True), progress=False)
    first, again = (list(read_cases(tmp_path / name)) for name in ("out", "again"))
    assert [c.split for c in first] == [c.split for c in again]


def test_the_program_ends_with_one_line_and_a_code(two, tmp_path):
    command = [sys.executable, "-m", "data_builders.splits", "--cases", *two, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--check", "true", "--workers", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("error: split leaks") and done.stderr.count("\n") == 1


def test_same_bytes_again_whatever_the_workers_and_the_place(two, tmp_path):
    for name, workers in (("x", 1), ("y", 2)):
        build(SplitsConfig(cases=two, output=str(tmp_path / name), workers=workers), progress=False)
    one, two = digests(tmp_path / "x"), digests(tmp_path / "y")
    assert one == two and MANIFEST in one


def test_resplit_draws_a_source_anew(tmp_path):
    pictures = {f"a{n}": texture(n) for n in range(10)}
    source = folder(tmp_path / "one", "one", pictures, split=["train"] * 10)
    build(config([str(source)], tmp_path / "out", resplit=["one"]), progress=False)
    assert {case.split for case in read_cases(tmp_path / "out")} == {"train", "validation", "test"}


def test_captions_drawn_anew_stay_in_train(tmp_path):
    pictures = {f"a{n}": texture(n) for n in range(12)}
    roles = [Role.CAPTION] * 4 + [Role.SPARSE] * 8
    source = folder(tmp_path / "one", "one", pictures, split=["train"] * 12, role=roles)
    build(config([str(source)], tmp_path / "out", resplit=["one"], pictures=False), progress=False)
    drawn = {case.case_id: case.split for case in read_cases(tmp_path / "out")}
    assert {drawn[f"a{n}"] for n in range(4)} == {"train"}
    assert {drawn[f"a{n}"] for n in range(4, 12)} == {"train", "validation", "test"}


def test_same_patient_is_caught_without_pictures(tmp_path):
    source = folder(
        tmp_path / "one",
        "one",
        {f"a{n}": texture(n) for n in range(4)},
        patient_id=["p", "p", "q", "r"],
        split=["train", "test", "train", "validation"],
    )
    with pytest.raises(UserError, match="one patient p is in test and train"):
        build(config([str(source)], tmp_path / "out", check=True, pictures=False), progress=False)
    assert not (tmp_path / "out" / "fingerprints").exists()


def test_overlap_by_pictures_needs_the_pictures(tmp_path):
    folders = [
        str(folder(tmp_path / name, name, {f"{name}{n}": texture(k + n) for n in range(4)}))
        for k, name in ((0, "derm1m"), (10, "dermnet"))
    ]
    with pytest.raises(UserError, match="no pictures were compared"):
        build(config(folders, tmp_path / "out", pictures=False), progress=False)
    assert build(config(folders, tmp_path / "out"), progress=False)["cases"] == 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f, o: {"folders": [f[0], f[0]]}, "case id occurs twice"),
        (lambda f, o: {"folders": [*f, str(o / "no")]}, "no finished stage"),
        (lambda f, o: {"output": Path(f[0])}, "output is one of the inputs"),
        (lambda f, o: {"resplit": ["three"]}, "no such source"),
        (lambda f, o: {"seed": 9}, "seed changes nothing"),
        (lambda f, o: {"test_fraction": -1.0, "resplit": ["one"]}, "negative"),
    ],
)
def test_bad_input(two, tmp_path, change, reason):
    arguments = {"folders": two, "output": tmp_path / "out"} | change(two, tmp_path)
    with pytest.raises(UserError, match=reason):
        build(config(**arguments), progress=False)
    assert (Path(two[0]) / CASES_FILE).is_file()


@pytest.mark.real_data
def test_leaks_planted_in_photographs_fail_the_check(shared_data, tmp_path):
    """Every kind of copy, of one photograph each: one fault each."""
    import numpy as np

    paths = sorted((shared_data / "pad_ufes_20" / "images").iterdir())[: len(COPIES)]
    originals = {f"original-{n}": load_image(path) for n, path in enumerate(paths)}
    random = np.random.default_rng(0)
    copies = {
        f"copy-{n}": copy(picture, random)
        for (n, picture), (copy, _) in zip(enumerate(originals.values()), COPIES.values(), strict=True)
    }
    folders = [
        str(folder(tmp_path / "one", "one", originals, split=["train"] * len(paths))),
        str(folder(tmp_path / "two", "two", copies, split=["test"] * len(paths))),
    ]
    with pytest.raises(UserError, match=f"split leaks .{len(COPIES)} faults."):
        build(config(folders, tmp_path / "out", check=True), progress=False)
