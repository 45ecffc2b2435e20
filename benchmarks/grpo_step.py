"""What one copy of the prompt saves: TRL's update and rollout beside ours, on the same batch, taking turns.

    python benchmarks/grpo_step.py --threads 2

Random weights and random pictures: only the shapes matter. Prompts and answers of a batch are of one length, so that
nothing is padded; benchmarks/grpo_recipe.py has a recipe's own. Times are medians. The bound is the ratio of the matrix
products' operations, counted from the shapes: no way of sharing the prompt can do better on the same kernels.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from rich.console import Console
from rich.table import Table

from skinr1 import config, prompts, tiny, vlm
from skinr1.errors import UserError
from skinr1.progress import progress_bar
from skinr1.stage import canonical_json, write_atomic
from skinr1.training import rollouts
from skinr1.training.grpo import GrpoConfig, SkinGRPOTrainer


@dataclass
class Arguments:
    """How often, on how many threads, what to write."""

    repeats: int = field(default=5, metadata={"help": "Turns of each way; their median counts."})
    threads: int = field(default=2, metadata={"help": "Threads of torch."})
    batches: list[str] = field(default_factory=list, metadata={"help": "Only these, by name; default: all."})
    output: Path = field(default=Path("runs/bench-grpo-step"), metadata={"help": "Folder for grpo_step.json."})


@dataclass(frozen=True)
class Shape:
    """A batch: prompts, completions each, tokens of text in a prompt, side of its picture in pixels."""

    name: str
    prompts: int
    generations: int
    completion: int
    text: int
    side: int
    size: tiny.TinySize


MIDDLE = tiny.TinySize(512, 1408, layers=8, heads=8, vision_hidden=256, vision_layers=4, max_pixels=896 * 896)
SHAPES = (
    Shape("G = 4", 1, 4, 96, 64, 448, MIDDLE),
    Shape("G = 8", 1, 8, 96, 64, 448, MIDDLE),
    Shape("G = 16", 1, 16, 96, 64, 448, MIDDLE),
    Shape("long prompt", 1, 8, 96, 64, 896, MIDDLE),
    Shape("long answers", 1, 8, 384, 64, 448, MIDDLE),
    Shape("embedded recipe", 8, 8, 105, 60, 112, tiny.TinySize()),
)


def make_trainer(shape: Shape, folder: Path) -> SkinGRPOTrainer:
    """The project's trainer with a rank-64 adapter on random weights."""
    torch.manual_seed(0)
    words = [" ".join(f"w{i}x{j}" for j in range(40)) for i in range(80)]
    tokenizer = tiny.train_tokenizer([prompts.REPORT_QUESTION, *words] * 2, shape.size.vocabulary)
    tiny.save(
        tiny.build_model(tokenizer, shape.size), tiny.build_processor(tokenizer, shape.size.max_pixels), folder / "base"
    )
    model = vlm.add_lora(vlm.load_model(str(folder / "base"), "float32", trainable=True), vlm.LoraArguments())
    args = GrpoConfig(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        num_generations=2,
        per_device_train_batch_size=2,
        max_completion_length=shape.completion,
        report_to="none",
    )
    rows = Dataset.from_list([{"prompt": prompts.messages("x", 0)}] * 2)
    return SkinGRPOTrainer(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=vlm.load_processor(folder / "base"),
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
    )


def make_batch(shape: Shape, maker: SkinGRPOTrainer) -> dict[str, Any]:
    """Random prompts and completions of exactly the shape's lengths."""
    draw = np.random.default_rng(0)
    processor, device = maker.processing_class, maker.accelerator.device
    pixels = [draw.integers(0, 255, (shape.side, shape.side, 3), dtype=np.uint8) for _ in range(shape.prompts)]
    seen = processor.image_processor(images=[Image.fromarray(p) for p in pixels], return_tensors="pt")
    visual = int(seen["image_grid_thw"][0].prod()) // 4
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    count = shape.prompts * shape.generations
    text = torch.from_numpy(draw.integers(20, 250, (shape.prompts, shape.text)))
    ids = torch.cat([text[:, :8], torch.full((shape.prompts, visual), pad), text[:, 8:]], dim=1)
    ids = ids.repeat_interleave(shape.generations, dim=0)
    answers = torch.from_numpy(draw.integers(20, 250, (count, shape.completion)))
    ids = torch.cat([ids, answers], dim=1).to(device)
    patches = seen["pixel_values"].unflatten(0, (shape.prompts, -1))
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "logits_to_keep": shape.completion,
        "pixel_values": patches.repeat_interleave(shape.generations, dim=0).flatten(0, 1).to(device),
        "image_grid_thw": seen["image_grid_thw"].repeat_interleave(shape.generations, dim=0).to(device),
        "num_images": [1] * count,
        "mm_token_type_ids": (ids == pad).int(),
    }


def bound(shape: Shape, maker: SkinGRPOTrainer, batch: dict[str, Any]) -> float:
    """Operations of the usual update over ours: parameters times tokens, for tower, decoder and head."""
    sizes = {name: parameter.numel() for name, parameter in maker.model.named_parameters() if "embed" not in name}
    tower = sum(n for name, n in sizes.items() if ".visual." in name)
    head = sum(n for name, n in sizes.items() if "lm_head" in name)
    decoder = sum(sizes.values()) - tower - head
    prompt = batch["input_ids"].size(1) - shape.completion
    usual = shape.generations * (prompt + shape.completion)
    ours = prompt - 1 + shape.generations * shape.completion
    patches = batch["pixel_values"].size(0) // (shape.prompts * shape.generations)
    # the tower is frozen and its input needs no gradient: forward only, a third of the work
    return (3 * (decoder + head) * usual + tower * patches * shape.generations) / (
        3 * (decoder + head) * ours + tower * patches
    )


def update(maker: SkinGRPOTrainer, batch: dict[str, Any], shared: bool) -> None:
    """Forward and backward pass over the completions' log-probabilities."""
    maker.args.shared_prefix = shared
    maker.model.zero_grad()
    logps, _, _ = maker._get_per_token_logps_and_entropies(maker.model, **batch)
    (logps * torch.linspace(-1, 1, logps.numel(), device=logps.device).view_as(logps)).sum().backward()


def saved_bytes(action: Callable[[], None]) -> int:
    """Bytes that the forward pass keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        action()
    return sum(storages.values())


def turns(ways: list[Callable[[], None]], repeats: int) -> list[float]:
    """Median seconds of each way; they take turns, after one warm-up each."""
    seconds: list[list[float]] = [[] for _ in ways]
    for turn in range(repeats + 1):
        for way, taken in zip(ways, seconds, strict=True):
            started = time.perf_counter()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken.append(time.perf_counter() - started)
    return [median(taken) for taken in seconds]


def measure(shape: Shape, repeats: int, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    maker = make_trainer(shape, folder)
    ours_generate, batch = maker.model.generate, make_batch(shape, maker)
    stock_generate = type(maker.model).generate.__get__(maker.model)
    updates = turns([lambda: update(maker, batch, False), lambda: update(maker, batch, True)], repeats)
    memory = [saved_bytes(lambda shared=shared: update(maker, batch, shared)) for shared in (False, True)]  # type: ignore[misc]
    width = batch["input_ids"].size(1) - shape.completion
    prompt = {name: batch[name][:, :width] for name in ("input_ids", "attention_mask", "mm_token_type_ids")}
    prompt |= {name: batch[name] for name in ("pixel_values", "image_grid_thw")}
    maker.generation_config.update(min_new_tokens=shape.completion, max_new_tokens=shape.completion)

    def roll(generate: Callable[..., torch.Tensor]) -> None:
        with torch.no_grad():
            generate(**prompt, generation_config=maker.generation_config)

    def stock() -> None:
        maker.model.get_base_model().set_attn_implementation("sdpa")  # ours sets its own
        roll(stock_generate)

    maker.model.generate = stock_generate
    unmerged = rollouts.share_prompts(maker.model, merge=False)
    maker.model.eval()  # no dropout, which would slow down the ways that do not merge the adapter
    rolls = turns([stock, lambda: roll(ours_generate), lambda: roll(unmerged)], repeats)
    return {
        "shape": shape.name,
        "prompt": width,
        "parameters": sum(p.numel() for p in maker.model.parameters()),
        "update_s": updates,
        "bound": bound(shape, maker, batch),
        "saved_bytes": memory,
        "rollout_s": rolls,
    }


def table(results: list[dict[str, Any]]) -> Table:
    """Ratios are TRL's seconds (or bytes) over ours; "by merging": our rollout without over with a merged adapter."""
    made = Table(title="GRPO step: TRL / ours (seconds, medians)")
    for column in (
        "batch",
        "prompt",
        "update",
        "ratio",
        "bound",
        "of bound",
        "memory ratio",
        "rollout",
        "ratio",
        "by merging",
        "step",
    ):
        made.add_column(column, justify="left" if column == "batch" else "right")
    for row in results:
        (stock, ours), (stock_roll, our_roll, unmerged) = row["update_s"], row["rollout_s"]
        made.add_row(
            row["shape"],
            str(row["prompt"]),
            f"{stock:.2f} / {ours:.2f}",
            f"{stock / ours:.2f}",
            f"{row['bound']:.2f}",
            f"{stock / ours / row['bound']:.0%}",
            f"{row['saved_bytes'][0] / row['saved_bytes'][1]:.2f}",
            f"{stock_roll:.2f} / {our_roll:.2f}",
            f"{stock_roll / our_roll:.2f}",
            f"{unmerged / our_roll:.2f}",
            f"{(stock + stock_roll) / (ours + our_roll):.2f}",
        )
    return made


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "grpo_step")
    torch.set_num_threads(args.threads)
    shapes = [shape for shape in SHAPES if not args.batches or shape.name in args.batches]
    if len(shapes) < len(args.batches):
        raise UserError("no such batch", ", ".join(args.batches), f"Known: {', '.join(s.name for s in SHAPES)}.")
    results = []
    with progress_bar() as progress:
        bar = progress.add_task("GRPO step", total=len(shapes))
        for shape in shapes:
            with tempfile.TemporaryDirectory() as folder:
                results.append(measure(shape, args.repeats, Path(folder)))
            progress.advance(bar)
            # the large batches take many minutes each: what is measured is written at once
            write_atomic(args.output / "grpo_step.json", "".join(canonical_json(row) + "\n" for row in results))
    Console(width=140).print(table(results))


if __name__ == "__main__":
    config.run(main)
