"""Supervised fine-tuning: TRL's trainer with defaults that are safe for vision rows."""

from dataclasses import dataclass, field

from trl import SFTConfig


@dataclass
class SftConfig(SFTConfig):
    """TRL's SFTConfig; rows are filtered by length instead of truncated, because a cut row can train on nothing."""

    max_length: int | None = field(default=None, metadata={"help": "Must stay null; use max_row_tokens."})
    max_row_tokens: int | None = field(
        default=2048, metadata={"help": "Longer rows are left out and listed in filtered.jsonl."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Vision rows need their image column."})
    disable_tqdm: bool | None = field(default=True, metadata={"help": "The stage has its own progress bar."})
