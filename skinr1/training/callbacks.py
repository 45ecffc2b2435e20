"""What every run writes and shows: ``metrics.jsonl`` always, a progress bar with the stage's name."""

import json
from pathlib import Path
from typing import Any

from rich.progress import Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from skinr1.progress import progress_bar
from skinr1.stage import canonical_json, write_jsonl

METRICS = "metrics.jsonl"


def until(path: Path, step: int) -> list[dict[str, Any]]:
    """Rows of a log up to a step; none of a run that begins.

    Left out are the half line that a kill may leave, and the closing summary of a run that SIGTERM ended.
    """
    written = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() and step else []
    return [row for row in map(json.loads, written) if row["step"] <= step and "train_runtime" not in row]


class MetricsCallback(TrainerCallback):
    """Appends every log to ``metrics.jsonl``. A resumed run first drops what lies after its checkpoint."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir) / METRICS
        write_jsonl(path, until(path, state.global_step))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if state.is_world_process_zero and logs:
            numbers = {key: value for key, value in logs.items() if isinstance(value, int | float)}
            with open(Path(args.output_dir) / METRICS, "a", encoding="utf-8") as handle:
                handle.write(canonical_json({"step": state.global_step, **numbers}) + "\n")


class EpochCallback(TrainerCallback):
    """Tells the sampler its epoch: accelerate does not reach it in a resumed epoch of several processes."""

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any = None,
        **_: Any,
    ) -> None:
        batches = train_dataloader.batch_sampler
        while hasattr(batches, "batch_sampler"):  # a process's share of another's
            batches = batches.batch_sampler
        if hasattr(batches.sampler, "set_epoch"):
            batches.sampler.set_epoch(int(state.epoch or 0))


class ProgressCallback(TrainerCallback):
    """One bar for the run: name, step, time left, and the metric that matters."""

    def __init__(self, name: str, metric: str):
        self.name, self.metric = name, metric
        self.bar: Progress | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = progress_bar(TextColumn("{task.fields[note]}"))
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=state.max_steps, completed=state.global_step, note="")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self.bar and logs and self.metric in logs:
            self.bar.update(self.task, note=f"{self.metric} {logs[self.metric]:.3f}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.bar:
            self.bar.stop()
