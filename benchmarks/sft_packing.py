"""What packing saves in SFT: TRL's padded batch beside ours, on the project's own trajectories, taking turns.

    python benchmarks/sft_packing.py --train_file runs/demo/trajectories/train.jsonl --processor runs/demo/base

Random weights; rows, images and tokens are the real ones, in the order in which training takes them. Times are medians
of forward and backward pass over the same batches. The bound is the ratio of the matrix products' operations, counted
from the tokens: parameters times tokens, for tower, decoder and head.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from timing import saved_bytes, turns  # beside this file

from skinr1 import config, tiny, vlm
from skinr1.progress import progress_bar
from skinr1.stage import canonical_json, write_atomic
from skinr1.training import data
from skinr1.training.sft import SftConfig, SkinSFTTrainer

MIDDLE = tiny.TinySize(512, 1408, layers=8, heads=8, vision_hidden=256, vision_layers=4)


@dataclass
class Arguments:
    """What, how often, on how many threads."""

    train_file: Path = field(metadata={"help": "trajectories/train.jsonl."})
    processor: Path = field(metadata={"help": "Folder of a saved model: its tokenizer and image processor."})
    repeats: int = field(default=5, metadata={"help": "Turns of each way; their median counts."})
    batches: int = field(default=3, metadata={"help": "Batches a turn."})
    threads: int = field(default=2, metadata={"help": "Threads of torch."})
    output: Path = field(default=Path("runs/bench-sft-packing"), metadata={"help": "Folder for sft_packing.json."})


@dataclass(frozen=True)
class Shape:
    """A model, rows a batch, and visual tokens of an image (None: as the processor was saved)."""

    name: str
    size: tiny.TinySize
    rows: int
    visual: int | None = None


SHAPES = (
    Shape("embedded model", tiny.TinySize(), 12),
    Shape("embedded model, 8 rows", tiny.TinySize(), 8),
    Shape("31 M", MIDDLE, 6),
    Shape("31 M", MIDDLE, 12),
    Shape("31 M, 256 visual tokens", MIDDLE, 6, 256),
)


def make_trainer(shape: Shape, rows: Dataset, processor: Path, folder: Path) -> SkinSFTTrainer:
    """The project's trainer with a rank-64 adapter on random weights."""
    torch.manual_seed(0)
    loaded = vlm.load_processor(processor)
    if shape.visual:
        images = loaded.image_processor
        pixels = shape.visual * (images.patch_size * images.merge_size) ** 2
        images.size = {"shortest_edge": pixels, "longest_edge": pixels}
    model = vlm.add_lora(tiny.build_model(loaded.tokenizer, shape.size), vlm.LoraArguments(lora_dropout=0.0))
    on_gpu = torch.cuda.is_available()
    args = SftConfig(
        output_dir=str(folder), use_cpu=not on_gpu, bf16=on_gpu, report_to="none", gradient_checkpointing=False
    )
    return SkinSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=loaded)


def make_batches(shape: Shape, maker: SkinSFTTrainer, count: int) -> list[dict[str, Any]]:
    """The first batches of a training run."""
    order = list(maker._get_train_sampler())[: shape.rows * count]
    parts = [order[start : start + shape.rows] for start in range(0, len(order), shape.rows)]
    return [maker._prepare_inputs(maker.data_collator([maker.train_dataset[n] for n in part])) for part in parts]


def step(maker: SkinSFTTrainer, batches: list[dict[str, Any]], shared: bool) -> None:
    """Forward and backward pass."""
    maker.args.shared_prefix = shared
    for batch in batches:
        maker.model.zero_grad()
        maker.compute_loss(maker.model, dict(batch)).backward()


def operations(maker: SkinSFTTrainer, batches: list[dict[str, Any]], shared: bool) -> float:
    """Parameters times tokens. Of the tower, which is frozen, the forward pass alone: a third."""
    sizes = {name: parameter.numel() for name, parameter in maker.model.named_parameters() if "embed" not in name}
    tower = sum(count for name, count in sizes.items() if ".visual." in name)
    seen = {"tokens": 0, "patches": 0}

    def watch(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        seen["tokens"] += int((kwargs["position_ids"][0].numel()) if shared else kwargs["input_ids"].numel())
        seen["patches"] += 0 if kwargs.get("pixel_values") is None else kwargs["pixel_values"].size(0)

    handle = maker.model.get_base_model().model.register_forward_pre_hook(watch, with_kwargs=True)
    with torch.no_grad():
        maker.args.shared_prefix = shared
        for batch in batches:
            maker.compute_loss(maker.model, dict(batch))
    handle.remove()
    return 3 * (sum(sizes.values()) - tower) * seen["tokens"] + tower * seen["patches"]


def measure(shape: Shape, args: Arguments, rows: Dataset, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    maker = make_trainer(shape, rows, args.processor, folder)
    batches = make_batches(shape, maker, args.batches)
    ways: list[Callable[[], None]] = [lambda: step(maker, batches, False), lambda: step(maker, batches, True)]
    usual, ours = (operations(maker, batches, shared) for shared in (False, True))
    supervised = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    lengths = [int(length) for batch in batches for length in batch["attention_mask"].sum(dim=1)]
    return {
        "shape": shape.name,
        "rows": shape.rows,
        "tokens": sum(lengths) / len(lengths),
        "supervised": supervised / len(lengths),
        "rate": [supervised / seconds for seconds in turns(ways, args.repeats)],
        "bound": usual / ours,
        "saved_bytes": [saved_bytes(way) for way in ways],
    }


def table(results: list[dict[str, Any]]) -> Table:
    """Ratios are ours over TRL's supervised tokens a second, and TRL's over our bytes."""
    made = Table(title="SFT: TRL / ours, supervised tokens a second (medians)")
    for column in ("model", "rows", "tokens a row", "supervised", "tokens/s", "ratio", "bound", "of bound", "memory"):
        made.add_column(column, justify="left" if column == "model" else "right")
    for row in results:
        stock, ours = row["rate"]
        made.add_row(
            row["shape"],
            str(row["rows"]),
            f"{row['tokens']:.0f}",
            f"{row['supervised']:.0f}",
            f"{stock:,.0f} / {ours:,.0f}",
            f"{ours / stock:.2f}",
            f"{row['bound']:.2f}",
            f"{ours / stock / row['bound']:.0%}",
            f"{row['saved_bytes'][0] / row['saved_bytes'][1]:.2f}",
        )
    return made


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "sft_packing")
    torch.set_num_threads(args.threads)
    rows = data.load_rows(args.train_file, ("prompt", "completion", "images"))
    results = []
    with progress_bar() as progress:
        bar = progress.add_task("SFT packing", total=len(SHAPES))
        for shape in SHAPES:
            with tempfile.TemporaryDirectory() as folder:
                results.append(measure(shape, args, rows, Path(folder)))
            progress.advance(bar)
    write_atomic(args.output / "sft_packing.json", "".join(canonical_json(row) + "\n" for row in results))
    Console(width=140).print(table(results))


if __name__ == "__main__":
    config.run(main)
