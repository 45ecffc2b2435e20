"""Shared rows give TRL's own SFT loss and gradients, whatever lies in the batch."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, List
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from skinr1 import prompts, vlm
from skinr1.errors import UserError
from skinr1.training.data import prompt_keys
from skinr1.training.sft import (
    CountingCollator,
    GroupedSampler,
    SftConfig,
    SkinSFTTrainer,
    refuse_unlearned,
    split_rows,
)
from tests.recipes import runs
from tests.skinr1.policies import SIZES, relative

# rows: (question, pictures), and each row's answer is its own
BATCHES = {
    "one image, three trajectories": [("Say.", (0,))] * 3,
    "shared and alone": [("Say.", (0,)), ("Say it all, and why.", (1,)), ("Say.", (0,)), ("Say.", (2,))],
    "several images": [("Say.", (0, 1)), ("Say.", (3, 2, 1)), ("Say.", (0, 1))],
    "same text, other pixels": [("Say.", (0,)), ("Say.", (4,))],
    "some without image": [("Say.", (0,)), ("Say.", ())],
    "text only": [("Say.", ()), ("Say it all.", ()), ("Say.", ())],
}


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Five files; the last has the first one's size."""
    folder, draw, paths = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1), []
    for number, size in enumerate((*SIZES, SIZES[0])):
        path = folder / f"{number}.png"
        Pillow.fromarray(draw.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
        paths.append(str(path))
    return paths


def dataset(rows: list[tuple[str, tuple[int, ...]]], pictures: list[str]) -> Dataset:
    found = []
    for number, (question, images) in enumerate(rows):
        answer = runs.answer((runs.NEVUS, runs.MELANOMA)[number % 2]) if number % 3 else f"Seen: papule {number}."
        reply = [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]
        prompt = prompts.messages(question, len(images))
        found.append({"prompt": prompt, "completion": reply, "images": [pictures[i] for i in images]})
    features = Dataset.from_list([{**row, "images": ["x"]} for row in found]).features
    return Dataset.from_list(found, features=Features({**features, "images": List(Image())}))


def trainer(base: Path, folder: Path, rows: Dataset, lora: bool = True, **options: Any) -> SkinSFTTrainer:
    torch.manual_seed(0)
    model = vlm.load_model(str(base), "float32", trainable=True)
    if lora:
        model = vlm.add_lora(model, vlm.LoraArguments(lora_rank=4, lora_alpha=4, lora_dropout=0.0))
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at first, and then half of the gradients would be
                torch.nn.init.normal_(weight, std=0.1)
    settings: dict[str, Any] = {"use_cpu": True, "bf16": False, "report_to": "none", **options}
    args = SftConfig(output_dir=str(folder), per_device_train_batch_size=len(rows), **settings)
    return SkinSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=vlm.load_processor(base))


def both(maker: SkinSFTTrainer) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """(loss, gradients) of TRL's way and of ours on all rows as one batch."""
    found = []
    for shared in (False, True):
        inputs = CountingCollator(maker.processing_class, completion_only_loss=True)(list(maker.train_dataset))
        if not shared:
            del inputs["num_images"]
        maker.args.shared_rows = shared
        maker.model.train()
        maker.model.zero_grad()
        loss = maker.compute_loss(maker.model, inputs, num_items_in_batch=(inputs["labels"] != -100).sum())
        loss.backward()
        found.append(
            (loss.item(), {n: p.grad.clone() for n, p in maker.model.named_parameters() if p.grad is not None})
        )
    return found


@pytest.mark.parametrize("name", BATCHES)
def test_equal_loss_and_gradients(base: Path, tmp_path: Path, pictures: list[str], name: str):
    stock, ours = both(trainer(base, tmp_path, dataset(BATCHES[name], pictures)))
    assert ours[0] == pytest.approx(stock[0], rel=1e-5)
    assert relative(ours[1], stock[1]) < 1e-5


@pytest.mark.parametrize(
    "options",
    [{"lora": False}, {"gradient_checkpointing": True}],
    ids=str,
)
def test_equal_in_every_setting(base: Path, tmp_path: Path, pictures: list[str], options: dict[str, Any]):
    stock, ours = both(trainer(base, tmp_path, dataset(BATCHES["shared and alone"], pictures), **options))
    assert ours[0] == pytest.approx(stock[0], rel=1e-5)
    assert relative(ours[1], stock[1]) < 1e-5


def test_tokens_and_accuracy_are_counted_as_stock_counts_them(base: Path, tmp_path: Path, pictures: list[str]):
    maker = trainer(base, tmp_path, dataset(BATCHES["shared and alone"], pictures))
    both(maker)
    stock, ours = maker._metrics["train"]["mean_token_accuracy"]
    assert ours == pytest.approx(stock)
    rows = CountingCollator(maker.processing_class, completion_only_loss=True)(list(maker.train_dataset))
    assert maker._metrics["train"]["num_tokens"] == [2 * int(rows["attention_mask"].sum())]


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_with_nothing_to_learn_ends_the_run(base: Path, tmp_path: Path, pictures: list[str], shared: bool):
    """TRL's own collators cut the answers off here, which leaves prompts; TRL itself would train on."""
    maker = trainer(base, tmp_path, dataset(BATCHES["text only"], pictures), shared_rows=shared)
    maker.data_collator.max_length = 12
    assert type(maker.data_collator) is (CountingCollator if shared else CountingCollator.__base__)
    with pytest.raises(UserError, match=r"no token to learn from \(rows 0, 1, 2 of 3\)"):
        maker.train()


def test_a_row_with_nothing_to_learn_is_an_error(base: Path, tmp_path: Path, pictures: list[str]):
    row = {"input_ids": torch.ones(1, 4, dtype=torch.long), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    counts = {"num_images": torch.zeros(1, dtype=torch.long)}
    with pytest.raises(UserError, match="no token to learn"):
        split_rows({**row, **counts, "labels": torch.full((1, 4), -100)})
    with pytest.raises(UserError, match="no token to learn"):  # nothing predicts the first token
        refuse_unlearned(torch.tensor([[1, -100], [-100, 1]]))
    maker = trainer(base, tmp_path, dataset(BATCHES["shared and alone"], pictures), shared_rows=False)
    inputs = maker.data_collator(list(maker.train_dataset))
    inputs["labels"][2] = -100
    with pytest.raises(UserError, match=r"no token to learn from \(rows 2 of 4\)"):
        maker.compute_loss(maker.model, inputs)
    with pytest.raises(UserError, match="mix what is learned"):
        split_rows({**row, **counts, "labels": torch.tensor([[-100, 1, -100, 1]])})


@pytest.mark.parametrize("option", [{"max_length": 40}, {"packing": True}, {"padding_free": True}], ids=str)
def test_options_that_cut_rows_or_do_not_work_are_refused(tmp_path: Path, option: dict[str, Any]):
    with pytest.raises(UserError, match=r"never cut|packs no vision rows"):
        SftConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **option)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 9))
def test_an_epoch_has_every_row_once_and_equal_keys_together(keys: list[int], seed: int):
    sampler = GroupedSampler(keys, seed)
    order = list(sampler)
    assert sorted(order) == list(range(len(keys))) and len(sampler) == len(keys)
    seen = [keys[row] for row in order]
    assert sum(a != b for a, b in pairwise(seen)) == len(set(keys)) - 1
    assert order == list(GroupedSampler(keys, seed))


def test_epochs_differ():
    sampler = GroupedSampler(list(range(50)), 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_keys_tell_prompts_and_pictures_apart(pictures: list[str]):
    keys = prompt_keys(dataset(BATCHES["shared and alone"], pictures))
    assert keys[0] == keys[2]
    assert len(set(keys)) == 3
