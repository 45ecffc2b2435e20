"""Supervised fine-tuning: TRL's trainer with defaults that are safe for vision rows, and rows packed.

TRL refuses to pack vision rows. Here the trajectories of one image stand behind one copy of it, with the same loss
and gradients (:mod:`skinr1.training.packing`); so that they meet in a batch, rows are shuffled by prompt and images.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from skinr1.errors import UserError
from skinr1.stage import canonical_json
from skinr1.training.packing import Batch, images_of, pack

import torch  # isort: skip
from datasets import Dataset, Image, List  # isort: skip
from torch.utils.data import Sampler  # isort: skip
from trl import SFTConfig, SFTTrainer  # isort: skip

_KNOWN = ("input_ids", "attention_mask", "labels", "pixel_values", "image_grid_thw", "mm_token_type_ids")
_SWITCHES = ("use_cache", "fused_lm_head")


@dataclass
class SftConfig(SFTConfig):
    """TRL's SFTConfig; rows are filtered by length instead of truncated, because a cut row can train on nothing."""

    max_length: int | None = field(default=None, metadata={"help": "Must stay null; use max_row_tokens."})
    max_row_tokens: int | None = field(
        default=2048, metadata={"help": "Longer rows are left out and listed in filtered.jsonl."}
    )
    shared_prefix: bool = field(
        default=True, metadata={"help": "Rows of a batch with the same prompt and images share one copy of them."}
    )
    rows_together: bool = field(
        default=True, metadata={"help": "Shuffle by prompt and images, so that rows which share them meet in a batch."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Vision rows need their image column."})
    disable_tqdm: bool | None = field(default=True, metadata={"help": "The stage has its own progress bar."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_length is not None:
            raise UserError(f"max_length is {self.max_length}", "SFT", "Rows are never cut: use max_row_tokens.")
        if self.packing or self.padding_free:
            raise UserError("TRL packs no vision rows", "SFT", "Leave packing out: shared_prefix, on by default, does.")


class SkinSFTTrainer(SFTTrainer):
    """TRL's SFTTrainer for Qwen-VL. Arguments as for the parent."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The parent's loss; the batch goes through the model packed.

        Raises:
            UserError: no token of the batch is supervised.
        """
        if not (inputs["labels"][:, 1:] != -100).any():
            raise UserError("a batch has no supervised token", "SFT", "Rows need a completion that is not empty.")
        forward = partial(self._forward, model) if self.args.shared_prefix else model
        return super().compute_loss(forward, inputs, *args, **kwargs)

    def _forward(self, model: Any, **inputs: Any) -> Any:
        """The model's fused output, packed; with logits, as the parent asks for label smoothing, unpacked.

        Raises:
            UserError: inputs of a model that is no Qwen-VL.
        """
        if not inputs.get("fused_lm_head"):
            return model(**inputs)
        foreign = sorted(inputs.keys() - {*_KNOWN, *_SWITCHES})
        if foreign:
            raise UserError(f"shared_prefix does not know {foreign[0]}", "SFT", "Set shared_prefix: false.")
        counts = None
        if inputs.get("image_grid_thw") is not None:
            counts = images_of(inputs["input_ids"], self.model.config.image_token_id)
        batch = Batch(num_images=counts, **{name: inputs[name] for name in _KNOWN if name in inputs})
        packed = pack(batch, model, self._tokenizer.pad_token_id)
        return model(**packed.inputs, shift_labels=packed.labels, use_cache=False, fused_lm_head=True)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows = self.train_dataset if train_dataset is None else train_dataset
        if self.args.rows_together and self.args.train_sampling_strategy == "random" and isinstance(rows, Dataset):
            return TogetherSampler(together(rows), self.args.data_seed or self.args.seed)
        return super()._get_train_sampler(train_dataset)


def together(rows: Dataset) -> list[list[int]]:
    """Numbers of the rows that have prompt and images in common, in order of their first one."""
    closed = rows.select_columns(["prompt", "images"]).cast_column("images", List(Image(decode=False)))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(closed):
        images = [(image["path"], image["bytes"]) for image in row["images"]]
        groups.setdefault((canonical_json(row["prompt"]), *images), []).append(number)
    return list(groups.values())


class TogetherSampler(Sampler[int]):
    """Groups in an order drawn anew each epoch, each with its rows in theirs; seed and epoch alone decide."""

    def __init__(self, groups: list[list[int]], seed: int):
        self.groups, self.seed, self.epoch = groups, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Accelerate's data loader calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        for group in torch.randperm(len(self.groups), generator=draw).tolist():
            yield from self.groups[group]
