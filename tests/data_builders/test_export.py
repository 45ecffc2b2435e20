"""Exports read back as their readers would: same counts, same words, same pixels."""

import io
import json
import os
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
from datasets import load_dataset
from PIL import Image
from pyarrow import parquet

from data_builders.export import ExportConfig, build
from skinr1.errors import UserError
from skinr1.export import FORMATS, verl, webdataset
from skinr1.stage import read_manifest, write_jsonl, write_manifest
from skinr1.trajectories.rows import completed, prompt_row
from tests.folders import digests

ROWS = 5


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """SFT rows: one picture, two pictures, none; names that are no safe file names."""
    folder = tmp_path / "cases" / "rows"
    pictures = ["../images/a b.png", "../images/ü;$(x).JPG"]
    (folder.parent / "images").mkdir(parents=True)
    for number, name in enumerate(pictures):
        Image.new("RGB", (8, 8), (number * 90, 10, 200)).save(folder.parent / name[3:])
    rows = []
    for number in range(ROWS):
        images = [[pictures[0]], pictures, [], [pictures[1]], [pictures[0]]][number]
        row = completed(
            prompt_row(f"Question {number}?", images, "Be brief." if number else None), f"Answer é {number}"
        )
        rows.append({**row, "case_id": f"../case {number}", "kind": "direct", "provenance": "[]"})
    write_jsonl(folder / "train.jsonl", rows)
    write_jsonl(folder / "validation.jsonl", rows[:1])
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    write_manifest(folder, "trajectories", config={}, licences={"CC-BY-4.0": 4}, notes=["rendered, not clinical"])


def export(stage: Path, name: str, output: str = "out") -> Path:
    folder = stage.parent / output
    assert build(ExportConfig(str(stage), str(folder), name), progress=False) == {"train": ROWS, "validation": 1}
    return folder


def original(stage: Path, row: int) -> list[bytes]:
    lines = (stage / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [(stage / name).read_bytes() for name in json.loads(lines[row])["images"]]


def test_trl_is_read_by_datasets(stage: Path):
    out = export(stage, "trl")
    rows = load_dataset("json", data_files=str(out / "train.jsonl"), split="train", cache_dir=str(stage / "cache"))
    for number, row in enumerate(rows):
        assert [(out / name).read_bytes() for name in row["images"]] == original(stage, number)
        assert row["completion"][0]["content"][0]["text"] == f"Answer é {number}"
    assert len(list((out / "images").iterdir())) == 2, "each picture is stored once"


def test_llava_and_llama_factory(stage: Path):
    out = export(stage, "llava")
    rows = json.loads((out / "train.json").read_text(encoding="utf-8"))
    for number, row in enumerate(rows):
        human, gpt = row["conversations"]
        assert human["value"].count("<image>") == len(row["images"]) == len(original(stage, number))
        assert human["value"].endswith(f"Question {number}?") and gpt == {"from": "gpt", "value": f"Answer é {number}"}
        assert [(out / name).read_bytes() for name in row["images"]] == original(stage, number)
    info = json.loads((out / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in info.values()} == {"train.json", "validation.json"}
    assert len({row["id"] for row in rows}) == ROWS


def test_verl_parquet(stage: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verl, "ROWS", 2)
    out = export(stage, "verl")
    shards = sorted(out.glob("train-*.parquet"))
    rows = [row for shard in shards for row in parquet.read_table(shard).to_pylist()]
    assert len(shards) == 3 and len(rows) == ROWS
    for number, row in enumerate(rows):
        assert [image["bytes"] for image in row["images"]] == original(stage, number)
        assert row["prompt"][-1]["content"].count("<image>") == len(row["images"])
        assert row["extra_info"]["index"] == number and row["reward_model"]["style"] == "sft"


def test_verl_truth_is_what_our_rewards_read(stage: Path):
    truth = {"diagnoses": ["neoplasm/benign"], "condition": "benign", "skin_tone": None, "source": "folder"}
    write_jsonl(stage / "train.jsonl", [{**prompt_row("Q?", []), "case_id": "c", **truth}])
    (stage / "validation.jsonl").unlink()
    build(ExportConfig(str(stage), str(stage.parent / "out"), "verl"), progress=False)
    (row,) = parquet.read_table(stage.parent / "out" / "train-00000.parquet").to_pylist()
    assert json.loads(row["reward_model"]["ground_truth"]) == truth and row["data_source"] == "folder"


def test_webdataset_shards(stage: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webdataset, "ROWS", 2)
    out = export(stage, "webdataset")
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    for shard in sorted(out.glob("train-*.tar")):
        with tarfile.open(shard) as tar:
            for entry in tar:
                assert os.path.basename(entry.name) == entry.name and entry.name.isascii(), "no path leaves the folder"
                key, _, rest = entry.name.partition(".")
                samples[key][rest] = tar.extractfile(entry).read()
    assert len(samples) == ROWS
    for number, (_, files) in enumerate(sorted(samples.items())):
        sample = json.loads(files["json"])
        assert [files[name] for name in sample["images"]] == original(stage, number)
        assert (sample["question"], sample["answer"]) == (f"Question {number}?", f"Answer é {number}")
        assert all(Image.open(io.BytesIO(files[name])).size == (8, 8) for name in sample["images"])


@pytest.mark.parametrize("name", FORMATS)
def test_same_rows_same_bytes_and_licences_travel(stage: Path, name: str):
    folders = [export(stage, name, "one"), export(stage, name, "two")]
    assert digests(folders[0]) == digests(folders[1])
    manifest = read_manifest(folders[0])
    assert (manifest["licences"], manifest["notes"]) == ({"CC-BY-4.0": 4}, ["rendered, not clinical"])
    assert export(stage, name, "one") == folders[0], "an export can be made again in its folder"


def test_what_cannot_be_exported_is_one_line(stage: Path, tmp_path: Path):
    def fails(message: str, **changes: str) -> None:
        settings = {"input": str(stage), "output": str(tmp_path / "new"), "format": "trl", **changes}
        with pytest.raises(UserError, match=message) as error:
            build(ExportConfig(**settings), progress=False)
        assert "\n" not in str(error.value)

    fails("unknown format", format="coco")
    fails("no finished stage", input=str(tmp_path))
    fails("holds something else", output=str(stage))
    (stage.parent / "images" / "a b.png").unlink()
    for name in FORMATS:
        fails("image a b.png does not exist", format=name, output=str(tmp_path / name))
    write_jsonl(stage / "train.jsonl", [{"text": "no prompt"}])
    fails("not a training row", output=str(tmp_path / "rows"))


@pytest.mark.parametrize("name", ["llava", "verl"])
def test_a_text_with_the_image_tag_is_refused(stage: Path, name: str):
    write_jsonl(stage / "train.jsonl", [completed(prompt_row("See <image>?", []), "x")])
    with pytest.raises(UserError, match="holds the tag"):
        build(ExportConfig(str(stage), str(stage.parent / "out"), name), progress=False)


def test_pictures_that_may_not_be_passed_on_are_told(stage: Path):
    write_manifest(stage, "trajectories", config={}, licences={"LicenseRef-DermNet": 4}, notes=[])
    export(stage, "trl")
    assert "may not be passed on" in read_manifest(stage.parent / "out")["notes"][0]
