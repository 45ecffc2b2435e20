"""Rows on their way to a trainer, and what a run folder remembers."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from skinr1 import vlm
from skinr1.errors import UserError
from skinr1.training import data
from skinr1.training.callbacks import MetricsCallback
from skinr1.training.run import claim, last_checkpoint
from tests.recipes import runs

COLUMNS = ("prompt", "completion", "images")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_rows(tmp_path_factory.mktemp("rows"), 3)


def rewrite(rows: Path, target: Path, change: Any) -> Path:
    """A copy of sft.jsonl with every row changed, beside the pictures."""
    changed = [change(json.loads(line)) for line in (rows / "sft.jsonl").read_text().splitlines()]
    path = rows / f"{target.name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in changed if row))
    return path


def test_images_are_decoded_when_read(rows: Path):
    loaded = data.load_rows(rows / "sft.jsonl", COLUMNS)
    assert len(loaded) == 3
    assert loaded[0]["images"][0].size == (112, 112)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda row: {key: value for key, value in row.items() if key != "completion"},
            "column 'completion' is missing",
        ),
        (lambda row: {**row, "images": ["images/none.png"]}, "image none.png does not exist"),
        (lambda row: None, "no rows to train on"),
    ],
)
def test_bad_rows_end_in_one_line(rows: Path, tmp_path: Path, change: Any, message: str):
    with pytest.raises(UserError, match=message) as error:
        data.load_rows(rewrite(rows, tmp_path, change), COLUMNS)
    assert "\n" not in str(error.value)


def test_long_rows_are_left_out_and_listed(rows: Path, tmp_path: Path):
    base = runs.write_base(tmp_path / "base", "qwen2_5_vl")
    processor = vlm.load_processor(base)

    def longer(row: dict[str, Any]) -> dict[str, Any]:
        if row["images"] == ["images/0.png"]:
            row["completion"][0]["content"][0]["text"] += " and so on"
        return row

    loaded = data.load_rows(rewrite(rows, tmp_path, longer), COLUMNS)
    lengths = [
        data.token_count({**row, "images": [image.size for image in row["images"]]}, processor) for row in loaded
    ]
    assert len(set(lengths)) > 1
    text = processor.apply_chat_template([*loaded[0]["prompt"], *loaded[0]["completion"]], tokenize=False)
    real = processor(text=[text], images=loaded[0]["images"])["input_ids"][0]
    assert lengths[0] == len(real)
    kept = data.filter_long(loaded, processor, min(lengths), tmp_path, main=True)
    listed = [json.loads(line) for line in (tmp_path / data.FILTERED).read_text().splitlines()]
    assert len(kept) + len(listed) == 3
    assert {row["tokens"] for row in listed} == {max(lengths)}
    assert len(data.filter_long(loaded, processor, None, tmp_path / "no_limit", main=True)) == 3
    assert len(data.filter_long(loaded, processor, min(lengths), tmp_path / "other_rank", main=False)) == len(kept)
    assert not (tmp_path / "no_limit").exists() and not (tmp_path / "other_rank").exists()
    with pytest.raises(UserError, match="every row is longer than 1 tokens"):
        data.filter_long(loaded, processor, 1, tmp_path, main=True)


def test_a_checkpoint_cut_short_is_passed_over(tmp_path: Path):
    for step, ranks in ((2, 2), (10, 2), (11, 1), (13, 2), (14, 2)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{" if step == 14 else "{}")
        for rank in range(ranks):
            torch.save({"cpu": torch.random.get_rng_state()}, folder / f"rng_state_{rank}.pth")
    (tmp_path / "checkpoint-12").mkdir()
    half = tmp_path / "checkpoint-13" / "rng_state_1.pth"
    half.write_bytes(half.read_bytes()[:1000])
    assert last_checkpoint(tmp_path, 2) == tmp_path / "checkpoint-10"
    assert last_checkpoint(tmp_path, 1) is None


def test_a_run_folder_remembers_what_it_computes(tmp_path: Path):
    args: Any = SimpleNamespace(output_dir=str(tmp_path), process_index=0, world_size=1)
    claim(args, {"learning_rate": 1.0, "logging_steps": 1})
    claim(args, {"learning_rate": 1.0, "logging_steps": 5})
    with pytest.raises(UserError, match="another learning_rate"):
        claim(args, {"learning_rate": 2.0})
    assert last_checkpoint(tmp_path, 1) is None
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="finished run"):
        claim(args, {"learning_rate": 1.0})


@pytest.mark.parametrize("key", ["train_file", "knowledge", "model"])
def test_a_run_folder_remembers_what_its_files_held(tmp_path: Path, key: str):
    args: Any = SimpleNamespace(output_dir=str(tmp_path), process_index=0, world_size=1)
    file = tmp_path / "rows.jsonl" if key == "train_file" else tmp_path / key / "manifest.json"
    file.parent.mkdir(exist_ok=True)
    named = file if key == "train_file" else file.parent
    file.write_text("one")
    for _ in range(2):
        claim(args, {key: str(named) if key == "model" else named})
    file.write_text("two")
    with pytest.raises(UserError, match=f"another content of {key}"):
        claim(args, {key: str(named) if key == "model" else named})


def test_a_resumed_run_forgets_what_lies_after_its_checkpoint(tmp_path: Path):
    args: Any = SimpleNamespace(output_dir=str(tmp_path))
    callback = MetricsCallback()

    def state(step: int) -> Any:
        return SimpleNamespace(is_world_process_zero=True, global_step=step)

    control: Any = None
    callback.on_train_begin(args, state(0), control)
    for step in (1, 2, 3):
        callback.on_log(args, state(step), control, {"loss": float(step), "note": "text"})
    callback.on_train_begin(args, state(2), control)
    callback.on_log(args, state(3), control, {"loss": 30.0})
    assert runs.metrics(tmp_path) == [{"loss": 1.0, "step": 1}, {"loss": 2.0, "step": 2}, {"loss": 30.0, "step": 3}]
    callback.on_train_begin(args, state(0), control)  # a fresh run starts empty
    assert runs.metrics(tmp_path) == []
