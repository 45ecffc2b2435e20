"""What shared rows save in SFT: TRL's padded batches beside ours, on the project's own trajectories, taking turns.

    make demo && python benchmarks/sft_packing.py --threads 2
    python benchmarks/sft_packing.py --visual_tokens 256      (as many tokens an image as the recipes for 7B and 8B)

A turn is a step without the optimizer: images decoded and collated, forward, backward. Stock takes batches in random
order, ours keeps the trajectories of an image together, as each would in training; speeds are in supervised
tokens, so that the two may hold different rows. The bound counts tokens through the decoder and images through the
tower, at the operations of this model's shapes.
"""

import itertools
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table

from skinr1 import config, vlm
from skinr1.errors import UserError
from skinr1.progress import progress_bar
from skinr1.stage import canonical_json, write_atomic
from skinr1.training.data import load_rows
from skinr1.training.sft import CountingCollator, SftConfig, SkinSFTTrainer, split_rows
from skinr1.training.shared_prefix import find_groups


@dataclass
class Arguments:
    """What is trained on what, how often."""

    model: Path = field(default=Path("runs/demo/base"), metadata={"help": "Base model folder."})
    train_file: Path = field(default=Path("runs/demo/trajectories/train.jsonl"), metadata={"help": "Trajectories."})
    batch_sizes: list[int] = field(
        default_factory=lambda: [8, 16, 32], metadata={"help": "Rows a batch; one line each."}
    )
    visual_tokens: int = field(default=0, metadata={"help": "Tokens an image is scaled to; 0: as the model has it."})
    repeats: int = field(default=9, metadata={"help": "Batches of each way; their median counts."})
    threads: int = field(default=2, metadata={"help": "Threads of torch."})
    seed: int = field(default=17, metadata={"help": "Seed of the order."})
    output: Path = field(default=Path("runs/bench-sft-packing"), metadata={"help": "Folder for sft_packing.json."})


def make_trainer(args: Arguments, rows: Dataset, batch: int, shared: bool, folder: str) -> SkinSFTTrainer:
    """A trainer with the embedded recipe's adapter."""
    torch.manual_seed(args.seed)
    lora = vlm.LoraArguments(lora_rank=64, lora_alpha=64, lora_dropout=0.0)
    gpu = torch.cuda.is_available()
    model = vlm.add_lora(vlm.load_model(str(args.model), "bfloat16" if gpu else "float32", trainable=True), lora)
    settings = SftConfig(
        output_dir=folder,
        per_device_train_batch_size=batch,
        shared_rows=shared,
        seed=args.seed,
        use_cpu=not gpu,
        bf16=gpu,
        gradient_checkpointing=False,
        report_to="none",
    )
    processor = vlm.load_processor(args.model)
    if args.visual_tokens:
        vlm.set_pixel_budget(processor, args.visual_tokens)
        most = processor.image_processor.size["longest_edge"]
        processor.image_processor.size = {"shortest_edge": most, "longest_edge": most}
    return SkinSFTTrainer(model=model, args=settings, train_dataset=rows, processing_class=processor)


def step(maker: SkinSFTTrainer, rows: list[int]) -> tuple[float, int]:
    """Seconds of one batch, and its supervised tokens."""
    started = time.perf_counter()
    inputs = maker._prepare_inputs(maker.data_collator([maker.train_dataset[row] for row in rows]))
    learned = (inputs["labels"] != -100).sum()
    maker.model.zero_grad()
    maker.compute_loss(maker.model, inputs, num_items_in_batch=learned).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, int(learned)


def operations(maker: SkinSFTTrainer, rows: list[int]) -> float:
    """Multiplications of a batch's matrix products, a third part: trained decoder and frozen tower (forward only)."""
    inputs = CountingCollator(maker.processing_class, completion_only_loss=True)(
        [maker.train_dataset[row] for row in rows]
    )
    sizes = {name: parameter.numel() for name, parameter in maker.model.named_parameters() if "embed" not in name}
    tower = sum(n for name, n in sizes.items() if ".visual." in name)
    head = sum(n for name, n in sizes.items() if "lm_head" in name)
    decoder = sum(sizes.values()) - tower - head
    scored = int((inputs["labels"] != -100).sum())  # TRL's fused head reads supervised positions only
    batch = split_rows(inputs)
    tokens, patches = inputs["input_ids"].numel(), batch.pixel_values.size(0) if batch.pixel_values is not None else 0
    if maker.args.shared_rows:
        first = [group[0] for group in find_groups(batch)]
        prompts = batch.attention_mask[first, : batch.prompt_length].sum() - len(first)
        tokens = int(prompts + batch.attention_mask[:, batch.prompt_length :].sum())
        pixels = batch.images(first)[1]
        patches = 0 if pixels is None else pixels.size(0)
    return (3 * (decoder * tokens + head * scored) + tower * patches) / scored


def measure(args: Arguments, rows: Dataset, batch: int) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        makers = [make_trainer(args, rows, batch, shared, folder) for shared in (False, True)]
        torch.manual_seed(args.seed)
        orders = [itertools.cycle(list(maker._get_train_sampler())) for maker in makers]
        speeds: list[list[float]] = [[], []]
        costs: list[list[float]] = [[], []]
        for turn in range(args.repeats + 1):
            for maker, order, found, cost in zip(makers, orders, speeds, costs, strict=True):
                chosen = list(itertools.islice(order, batch))
                seconds, tokens = step(maker, chosen)
                if turn:  # the first one warms up
                    found.append(tokens / seconds)
                    cost.append(operations(maker, chosen))
    stock, ours = (median(found) for found in speeds)
    return {"batch": batch, "tokens_per_s": [stock, ours], "bound": median(costs[0]) / median(costs[1])}


def table(results: list[dict[str, Any]]) -> Table:
    """Ratios are our speed over TRL's."""
    made = Table(title="SFT: supervised tokens a second, medians")
    for column in ("rows a batch", "TRL, padded", "shared rows", "ratio", "bound", "of bound"):
        made.add_column(column, justify="right")
    for row in results:
        stock, ours = row["tokens_per_s"]
        ratio = ours / stock
        made.add_row(
            str(row["batch"]),
            f"{stock:.0f}",
            f"{ours:.0f}",
            f"{ratio:.2f}",
            f"{row['bound']:.2f}",
            f"{ratio / row['bound']:.0%}",
        )
    return made


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "sft_packing")
    for path in (args.model, args.train_file):
        if not path.exists():
            raise UserError("not there", str(path), "Run make demo first, or give --model and --train_file.")
    torch.set_num_threads(args.threads)
    rows = load_rows(args.train_file, ("prompt", "completion", "images"))
    results = []
    with progress_bar() as progress:
        bar = progress.add_task("SFT packing", total=len(args.batch_sizes))
        for batch in args.batch_sizes:
            results.append(measure(args, rows, batch))
            progress.advance(bar)
    write_atomic(args.output / "sft_packing.json", "".join(canonical_json(row) + "\n" for row in results))
    Console(width=100).print(table(results))


if __name__ == "__main__":
    config.run(main)
