"""Packed SFT gives TRL's own numbers: loss, gradients, metrics."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Image, List
from PIL import Image as Pictures

from skinr1 import prompts, vlm
from skinr1.errors import UserError
from skinr1.training.sft import SftConfig, SkinSFTTrainer, TogetherSampler, together
from tests.recipes import runs
from tests.skinr1.policies import QUESTIONS

ANSWERS = ("A brown spot.", "A brown spot, sharply bounded, with a darker centre.", "Red.", "A papule on the left arm.")
# question, number of images, answer
CASES = {
    "trajectories of one image": [(0, (0,), 0), (0, (0,), 1), (0, (0,), 2), (0, (0,), 3)],
    "several images": [(0, (0, 1), 0), (1, (2,), 1), (0, (0, 1), 3), (2, (3, 2, 1), 2)],
    "text only": [(0, (), 0), (1, (), 1), (0, (), 2)],
    "some without image": [(1, (), 0), (0, (1,), 1), (1, (), 3), (0, (1,), 2)],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate(((112, 112), (56, 84), (140, 56), (28, 28))):
        draw = torch.Generator().manual_seed(number)
        pixels = torch.randint(0, 255, (*size, 3), dtype=torch.uint8, generator=draw).numpy()
        Pictures.fromarray(pixels).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(4)]


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


def data_set(name: str, pictures: list[str]) -> Dataset:
    rows = [
        {
            "prompt": prompts.messages(QUESTIONS[question], len(images)),
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": ANSWERS[answer]}]}],
            "images": [pictures[number] for number in images],
        }
        for question, images, answer in CASES[name]
    ]
    return Dataset.from_list(rows).cast_column("images", List(Image()))


def trainer(base: Path, folder: Path, rows: Dataset, lora: bool = True, **options: Any) -> SkinSFTTrainer:
    torch.manual_seed(0)
    model = vlm.load_model(str(base))
    if lora:
        model = vlm.add_lora(model, vlm.LoraArguments(lora_rank=4, lora_alpha=4, lora_dropout=0.0))
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at first, and then half of the gradients would be
                torch.nn.init.normal_(weight, std=0.1)
    args = SftConfig(output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", **options)
    return SkinSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=vlm.load_processor(base))


def both(maker: SkinSFTTrainer, rows: Dataset) -> list[tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, Any]]]:
    """(loss, gradients, metrics) of the stock way and of ours."""
    results = []
    for shared in (False, True):
        maker.args.shared_prefix = shared
        maker.model.zero_grad()
        maker._metrics["train"].clear()
        maker._total_train_tokens = 0
        inputs = dict(maker.data_collator([dict(row) for row in rows]))
        loss = maker.compute_loss(maker.model.train(), inputs, num_items_in_batch=torch.tensor(50))
        loss.backward()
        found = {n: p.grad.clone() for n, p in maker.model.named_parameters() if p.grad is not None}
        results.append((loss.detach(), found, dict(maker._metrics["train"])))
    return results


def relative(ours: dict[str, torch.Tensor], stock: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == stock.keys() and stock
    difference = sum(((ours[n] - stock[n]).double() ** 2).sum() for n in stock)
    return float((difference / sum((stock[n].double() ** 2).sum() for n in stock)) ** 0.5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in CASES),
        ("several images", {"lora": False, "gradient_checkpointing": False}),
        ("several images", {"lora": False, "gradient_checkpointing": True}),
        ("several images", {"gradient_checkpointing": True}),
    ],
    ids=str,
)
def test_equal_to_stock(base: Path, tmp_path: Path, pictures: list[str], name: str, options: dict[str, Any]):
    rows = data_set(name, pictures)
    maker = trainer(base, tmp_path, rows, **{"gradient_checkpointing": False, **options})
    stock, ours = both(maker, rows)
    assert abs(ours[0] / stock[0] - 1) < 1e-5
    assert relative(ours[1], stock[1]) < 1e-5
    assert ours[2] == {key: pytest.approx(value, rel=1e-5) for key, value in stock[2].items()}


def test_one_copy_of_prompt_and_image(base: Path, tmp_path: Path, pictures: list[str]):
    rows = data_set("trajectories of one image", pictures)
    maker = trainer(base, tmp_path, rows, gradient_checkpointing=False)
    seen: list[int] = []
    tower = next(module for name, module in maker.model.named_modules() if name.endswith("visual"))
    tower.register_forward_hook(
        lambda module, args, kwargs, output: seen.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    both(maker, rows)
    assert seen == [4, 1]


def test_evaluation_is_packed_too(base: Path, tmp_path: Path, pictures: list[str]):
    rows = data_set("several images", pictures)
    maker = trainer(base, tmp_path, rows, gradient_checkpointing=False)
    losses = []
    for shared in (False, True):
        maker.args.shared_prefix = shared
        losses.append(maker.evaluate(rows)["eval_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_batch_without_a_supervised_token_is_an_error(base: Path, tmp_path: Path, pictures: list[str]):
    rows = data_set("several images", pictures)
    maker = trainer(base, tmp_path, rows)
    inputs = dict(maker.data_collator([dict(row) for row in rows]))
    inputs["labels"] = torch.full_like(inputs["labels"], -100)
    with pytest.raises(UserError, match="no supervised token"):
        maker.compute_loss(maker.model, inputs)


@pytest.mark.parametrize("option", [{"max_length": 40}, {"packing": True}, {"padding_free": True}], ids=str)
def test_options_that_cut_or_do_not_work_are_refused(tmp_path: Path, option: dict[str, Any]):
    with pytest.raises(UserError, match="max_length|packs no vision"):
        SftConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **option)


def test_rows_that_share_an_image_meet_in_a_batch(pictures: list[str]):
    groups = together(data_set("several images", pictures))
    assert groups == [[0, 2], [1], [3]]
    sampler = TogetherSampler(groups, seed=3)
    orders = set()
    for epoch in range(6):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(order) == [0, 1, 2, 3] and len(sampler) == 4
        assert order.index(2) == order.index(0) + 1
        assert list(sampler) == order
        orders.add(json.dumps(order))
    assert len(orders) > 1
