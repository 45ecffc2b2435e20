"""Supervised fine-tuning: TRL's trainer with defaults that are safe for vision rows, and with shared rows.

TRL packs no vision data. Here the examples of a batch lie behind one another in one row, and the trajectories of an
image behind one copy of its prompt (:mod:`skinr1.training.shared_prefix`): the same loss and gradients without padding
and without encoding an image twice.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from skinr1.errors import UserError
from skinr1.training import data, shared_prefix
from skinr1.training.shared_prefix import Batch


@dataclass
class VisionRowsConfig(SFTConfig):
    """TRL's SFTConfig; rows are filtered by length instead of truncated, because a cut row can train on nothing."""

    max_length: int | None = field(default=None, metadata={"help": "Must stay null; use max_row_tokens."})
    max_row_tokens: int | None = field(
        default=2048, metadata={"help": "Longer rows are left out and listed in filtered.jsonl."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Vision rows need their image column."})
    disable_tqdm: bool | None = field(default=True, metadata={"help": "The stage has its own progress bar."})

    def __post_init__(self) -> None:
        """Raises UserError for options of TRL that cut rows, or that it refuses for vision rows."""
        super().__post_init__()
        if self.max_length is not None:
            raise UserError(f"max_length is {self.max_length}", "SFT", "Rows are never cut: use max_row_tokens.")
        if self.packing or self.padding_free:
            raise UserError("TRL packs no vision rows", "SFT", "Leave packing and padding_free out: shared_rows packs.")


@dataclass
class SftConfig(VisionRowsConfig):
    """What SFT adds: how the rows of a batch are laid out."""

    shared_rows: bool = field(
        default=True, metadata={"help": "Rows of one image share a copy of it, and a batch is packed without padding."}
    )


class CountingCollator(DataCollatorForVisionLanguageModeling):
    """TRL's collator, which also says how many images each row has: packing moves them with their rows."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        counts = [len(example["images"]) for example in examples]
        return {**super().torch_call(examples), "num_images": torch.tensor(counts)}


class GroupedSampler(Sampler[int]):
    """A random order, drawn anew each epoch, in which rows of equal key stay together.

    Args:
        keys: one a row.
        seed: with the epoch, decides the order; the same in every process.
    """

    def __init__(self, keys: Sequence[Hashable], seed: int):
        groups: dict[Hashable, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        self._groups, self._rows, self._seed, self._epoch = list(groups.values()), len(keys), seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        for group in torch.randperm(len(self._groups), generator=draw).tolist():
            yield from self._groups[group]

    def __len__(self) -> int:
        return self._rows


def refuse_unlearned(labels: Tensor) -> None:
    """A row that teaches nothing counts as a row and trains on none: TRL gives such a batch the loss 0 or NaN.

    Args:
        labels: [B, T], -100 where nothing is to be learned; the first one is never predicted.

    Raises:
        UserError: a row has no label.
    """
    empty = (labels[:, 1:] == -100).all(dim=1).nonzero().flatten().tolist()
    if empty:
        rows = ", ".join(str(row) for row in empty)
        raise UserError(
            f"a row has no token to learn from (rows {rows} of {len(labels)})",
            "SFT batch",
            "Its completion is empty, or the collator masks or cuts it: rebuild the rows, or mend the collator.",
        )


def split_rows(inputs: dict[str, Any]) -> Batch:
    """Collated rows, padded on the right, as left-padded prompts with right-padded completions.

    Args:
        inputs: input_ids, attention_mask, labels [B, T], num_images [B], and the images of all rows.

    Raises:
        UserError: a row has nothing to learn, or something that is not to be learned behind its answer's start.
    """
    known, learned = inputs["attention_mask"].bool(), inputs["labels"] != -100
    refuse_unlearned(inputs["labels"])
    length, start = known.sum(dim=1), learned.int().argmax(dim=1)
    steps = torch.arange(known.size(1), device=known.device)
    if not torch.equal(learned, known & (steps >= start[:, None])):
        raise UserError(
            "rows mix what is learned and what is not behind the prompt",
            "SFT batch",
            "Give prompt and completion with completion_only_loss, or set shared_rows: false.",
        )
    prompt, completion = int(start.max()), int((length - start).max())
    # column of each row's token that comes to stand in a column of the result; it may lie outside the row
    source = torch.arange(prompt + completion, device=known.device) - prompt + start[:, None]
    inside = (source >= 0) & (source < length[:, None])
    source = source.clamp(0, known.size(1) - 1)

    def moved(values: Tensor) -> Tensor:
        return values.gather(1, source) * inside

    types = inputs.get("mm_token_type_ids")
    return Batch(
        moved(inputs["input_ids"]),
        inside.long(),
        completion,
        inputs.get("pixel_values"),
        inputs.get("image_grid_thw"),
        inputs["num_images"].tolist(),
        None if types is None else moved(types),
    )


class SkinSFTTrainer(SFTTrainer):
    """TRL's SFTTrainer on shared rows. Arguments as for the parent; ``args`` is an :class:`SftConfig`."""

    _total_train_tokens: int

    def __init__(self, model: Any, *, args: SftConfig, processing_class: Any, **kwargs: Any):
        collator = CountingCollator(processing_class, completion_only_loss=True) if args.shared_rows else None
        super().__init__(model=model, args=args, processing_class=processing_class, data_collator=collator, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self.args.shared_rows:
            return super()._get_train_sampler(train_dataset)
        rows = self.train_dataset if train_dataset is None else train_dataset
        return GroupedSampler(data.prompt_keys(rows), self.args.seed)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The parent's loss, over the packed batch. Raises UserError as :func:`split_rows` does, in either way."""
        if not self.args.shared_rows:
            refuse_unlearned(inputs["labels"])
            return super().compute_loss(model, inputs, *args, **kwargs)
        batch = split_rows(inputs)
        packed = shared_prefix.pack(batch, model)
        before = self._total_train_tokens
        loss = super().compute_loss(model, {**packed.inputs, "shift_labels": packed.labels}, *args, **kwargs)
        if self.model.training:  # the parent counts in the attention mask, which says nothing here
            self._total_train_tokens = before + int(self.accelerator.gather(batch.attention_mask.sum()).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss
