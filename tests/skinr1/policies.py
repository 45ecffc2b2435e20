"""An untrained policy in the project's GRPO trainer, and batches as TRL collates them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image

from skinr1 import prompts, vlm
from skinr1.training.grpo import GrpoConfig, SkinGRPOTrainer

QUESTIONS = (prompts.REPORT_QUESTION, "Describe this.", "Which signs are there, and where do they stand?")
SIZES = ((112, 112), (56, 84), (140, 56), (28, 28))


def trainer(base: Path, folder: Path, lora: bool = True, **options: Any) -> SkinGRPOTrainer:
    """The project's trainer around a freshly loaded model; nothing is trained."""
    torch.manual_seed(0)
    model = vlm.load_model(str(base), options.pop("dtype", "float32"), trainable=True)
    if lora:
        model = vlm.add_lora(model, vlm.LoraArguments(lora_rank=4, lora_alpha=4, lora_dropout=0.0))
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at first, and then half of the gradients would be
                torch.nn.init.normal_(weight, std=0.1)
    settings = {"use_cpu": True, "bf16": False, "num_generations": 2, "per_device_train_batch_size": 2}
    args = GrpoConfig(output_dir=str(folder), report_to="none", **{**settings, "temperature": 0.8, **options})
    rows = Dataset.from_list([{"prompt": prompts.messages("x", 0)}] * 2)
    return SkinGRPOTrainer(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=vlm.load_processor(base),
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
    )


def batch(processor: Any, groups: Sequence[tuple[int, Sequence[int]]], size: int, order: Sequence[int] | None = None):
    """Prompts (question, image sizes) times ``size`` completions of random length, as TRL would collate them.

    Returns the tensors of the method under test, and the number of completion columns.
    """
    draw = np.random.default_rng(7)
    texts: list[str] = []
    pictures: list[list[Image.Image]] = []
    for question, sizes in groups:
        images = [Image.fromarray(draw.integers(0, 255, (*SIZES[s], 3), dtype=np.uint8)) for s in sizes]
        messages = prompts.messages(QUESTIONS[question], len(images))
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        texts += [text] * size
        pictures += [images] * size
    order = list(order if order is not None else range(len(texts)))
    texts, pictures = [texts[i] for i in order], [pictures[i] for i in order]
    given = {"images": pictures} if any(pictures) else {}
    tensors = dict(processor(text=texts, padding=True, padding_side="left", return_tensors="pt", **given))
    lengths = [int(n) for n in draw.integers(1, 9, len(texts))]
    width = max(lengths)
    mask = torch.tensor([[i < n for i in range(width)] for n in lengths]).long()
    words = torch.from_numpy(draw.integers(20, 300, (len(texts), width))) * mask
    zeros = torch.zeros_like(words)
    result = {
        "input_ids": torch.cat([tensors["input_ids"], words], dim=1),
        "attention_mask": torch.cat([tensors["attention_mask"], mask], dim=1),
        "logits_to_keep": width,
        "num_images": [len(images) for images in pictures],
        "pixel_values": tensors.get("pixel_values"),
        "image_grid_thw": tensors.get("image_grid_thw"),
    }
    if "mm_token_type_ids" in tensors:
        result["mm_token_type_ids"] = torch.cat([tensors["mm_token_type_ids"], zeros], dim=1)
    return result


def relative(ours: dict[str, torch.Tensor], stock: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of two sets of gradients over the norm of the stock one."""
    assert ours.keys() == stock.keys()
    assert stock, "nothing got a gradient"
    difference = sum(((ours[n] - stock[n]).double() ** 2).sum() for n in stock)
    return float((difference / sum((stock[n].double() ** 2).sum() for n in stock)) ** 0.5)


CASES = {
    "one group": ([(0, (0,))], 4, None),
    "prompts of different length": ([(0, (0,)), (1, (0,)), (2, (0,))], 2, None),
    "images of different size": ([(0, (0,)), (0, (1,)), (0, (2,))], 2, None),
    "several images": ([(0, (0, 1)), (1, (3, 2, 1))], 3, None),
    "shuffled": ([(0, (0,)), (0, (0,)), (1, (1, 2))], 2, (3, 0, 5, 2, 4, 1)),
    "text only": ([(0, ()), (1, ())], 2, None),
    "some without image": ([(0, (0,)), (1, ())], 2, None),
}
