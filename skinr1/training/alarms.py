"""Alarms of a GRPO run: what its logs say is going wrong, and what to try. None stops the run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from skinr1.stage import canonical_json, write_jsonl
from skinr1.training.callbacks import METRICS, until

FILE = "alarms.jsonl"
WINDOW = 10  # logs that are averaged: a single step says little
Logs = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Alarm:
    """``value`` is the window's mean of ``metric``; ``limit`` what it passed."""

    name: str
    metric: str
    value: float
    limit: float
    remedy: str


@dataclass(frozen=True)
class Rule:
    """``limit(start)`` is the bound, ``start`` the mean of the run's first window; ``above`` says which side is bad.

    The bounds are rules of thumb of ours, set so that the embedded recipe raises none.
    """

    name: str
    metric: str
    above: bool
    limit: Callable[[float], float]
    remedy: str


RATIO = "Lower steps_per_generation and learning_rate; see also vllm_importance_sampling_correction."
RULES = (
    Rule(
        "groups without difference",
        "groups_without_difference",
        True,
        lambda _: 0.8,
        "All answers to most prompts earn the same, so nothing is learnt: raise temperature or num_generations, or "
        "drop prompts that are always right or always wrong.",
    ),
    Rule(
        "entropy collapse",
        "entropy",
        False,
        lambda start: 0.1 * start,
        "The policy hardly varies any more: lower learning_rate, raise beta or temperature, or set entropy_coef.",
    ),
    Rule(
        "answers become short",
        "completions/mean_length",
        False,
        lambda start: 0.5 * start,
        "Half the length of the first steps: look at completions/, give the reasoning a weight (consistency).",
    ),
    Rule(
        "answers are cut off",
        "completions/clipped_ratio",
        True,
        lambda start: max(0.3, 2 * start),
        "Raise max_completion_length, or give brevity a weight.",
    ),
    Rule(
        "updates are clipped",
        "clip_ratio/region_mean",
        True,
        lambda _: 0.3,
        "The policy moves too far between rollouts: lower learning_rate, num_iterations or steps_per_generation.",
    ),
    Rule(
        "sampler and trainer disagree",
        "sampling/sampling_logp_difference/mean",
        True,
        lambda _: 0.1,
        "Rollouts come from another policy than the one that is trained: compare dtypes and processors of vLLM and "
        "trainer, and sync weights every step.",
    ),
    Rule(
        "importance ratio drifts",
        "sampling/importance_sampling_ratio/mean",
        False,
        lambda _: 0.8,
        RATIO,
    ),
    Rule("importance ratio drifts upwards", "sampling/importance_sampling_ratio/mean", True, lambda _: 1.25, RATIO),
    Rule(
        "text repeats itself",
        "rewards/variety/mean",
        False,
        lambda start: min(0.7, 0.8 * start),
        "Runs of four words recur: set repetition_penalty for rollouts, raise the weight of variety.",
    ),
    Rule(
        "far from the reference",
        "kl",
        True,
        lambda _: 1.0,
        "Nats per token from the SFT model: raise beta or lower learning_rate.",
    ),
)


def alarms(logs: Logs) -> list[Alarm]:
    """The rules that the last :data:`WINDOW` logs break; none before there are that many with the metric.

    Args:
        logs: metric -> value, oldest first.
    """
    found = []
    for rule in RULES:
        values = [log[rule.metric] for log in logs if rule.metric in log]
        if len(values) < WINDOW:
            continue
        value, limit = fmean(values[-WINDOW:]), rule.limit(fmean(values[:WINDOW]))
        if value > limit if rule.above else value < limit:
            found.append(Alarm(rule.name, rule.metric, value, limit, rule.remedy))
    return found


class AlarmsCallback(TrainerCallback):
    """Says each alarm once, when it begins, on the screen and in ``alarms.jsonl``; again only after it has ended.

    A resumed run goes on from the metrics and alarms up to its checkpoint, as if it had not been interrupted.
    """

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True)
        self.logs: list[Mapping[str, float]] = []
        self.on: set[str] = set()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        rows = until(folder / METRICS, state.global_step)
        self.logs = [{key: value for key, value in row.items() if key != "step"} for row in rows]
        self.on = {alarm.name for alarm in alarms(self.logs)}
        if (folder / FILE).exists():
            write_jsonl(folder / FILE, until(folder / FILE, state.global_step))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        self.logs.append({key: value for key, value in logs.items() if isinstance(value, int | float)})
        now = alarms(self.logs)
        for alarm in now:
            if alarm.name not in self.on:
                self._tell(alarm, state.global_step, Path(args.output_dir))
        self.on = {alarm.name for alarm in now}

    def _tell(self, alarm: Alarm, step: int, folder: Path) -> None:
        self.console.print(
            f"[bold]alarm at step {step}: {alarm.name}[/bold] "
            f"({alarm.metric} {alarm.value:.3g}, limit {alarm.limit:.3g}). {alarm.remedy}",
            soft_wrap=True,
        )
        with open(folder / FILE, "a", encoding="utf-8") as handle:
            handle.write(canonical_json({"step": step, **asdict(alarm)}) + "\n")
