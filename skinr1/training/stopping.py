"""SIGTERM ends a run after the step under way, with a checkpoint: preempted jobs lose a step at most.

transformers' own ``enable_jit_checkpoint`` lets each process stop at a step of its own, and a stopped run looks
finished.
"""

import signal
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class StopOnTerm(TrainerCallback):
    """``stopped`` says after training whether it was cut short. Processes agree at the end of every step."""

    def __init__(self) -> None:
        self.asked = self.stopped = False
        self._before: Any = signal.SIG_DFL

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._before = signal.signal(signal.SIGTERM, self._ask)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if _any(self.asked, args.device) and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        signal.signal(signal.SIGTERM, self._before)


def _any(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    if not torch.distributed.is_initialized():
        return flag
    flags = torch.tensor([flag], dtype=torch.int32, device=device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags.item())
