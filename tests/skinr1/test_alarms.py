"""Every alarm can be raised, stays silent in a quiet run, and is said once."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from skinr1.training.alarms import FILE, RULES, WINDOW, AlarmsCallback, alarms
from skinr1.training.callbacks import MetricsCallback

QUIET = {
    "groups_without_difference": 0.2,
    "entropy": 0.1,
    "completions/mean_length": 100.0,
    "completions/clipped_ratio": 0.02,
    "clip_ratio/region_mean": 0.01,
    "sampling/sampling_logp_difference/mean": 0.01,
    "sampling/importance_sampling_ratio/mean": 1.0,
    "rewards/variety/mean": 0.95,
    "kl": 0.05,
}
BAD = {
    "groups_without_difference": 0.9,
    "entropy": 0.005,
    "completions/mean_length": 30.0,
    "completions/clipped_ratio": 0.5,
    "clip_ratio/region_mean": 0.4,
    "sampling/sampling_logp_difference/mean": 0.3,
    "sampling/importance_sampling_ratio/mean": 0.5,
    "rewards/variety/mean": 0.4,
    "kl": 2.0,
}


def test_a_quiet_run_raises_none():
    assert alarms([QUIET] * 50) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_alarm_alone(rule):
    bad = 2.0 if rule.name.endswith("upwards") else BAD[rule.metric]
    logs = [QUIET] * WINDOW + [{**QUIET, rule.metric: bad}] * WINDOW
    (alarm,) = alarms(logs)
    assert (alarm.name, alarm.value) == (rule.name, pytest.approx(bad))
    assert alarm.remedy.endswith(".")


def test_one_bad_step_is_no_alarm():
    assert alarms([QUIET] * 20 + [{**QUIET, "kl": 2.0}]) == []


def test_too_few_logs_or_absent_metrics_say_nothing():
    assert alarms([BAD] * (WINDOW - 1)) == [] and alarms([{"loss": 1.0}] * 50) == []


def test_an_alarm_is_said_when_it_begins_and_again_after_it_ended(tmp_path):
    screen = io.StringIO()
    callback = AlarmsCallback(Console(file=screen, width=300))
    args = SimpleNamespace(output_dir=str(tmp_path))
    course = [QUIET] * WINDOW + [{**QUIET, "kl": 3.0}] * WINDOW + [QUIET] * WINDOW + [{**QUIET, "kl": 3.0}] * WINDOW
    for step, logs in enumerate(course):
        callback.on_log(args, SimpleNamespace(is_world_process_zero=True, global_step=step), None, logs=dict(logs))
        callback.on_log(args, SimpleNamespace(is_world_process_zero=False, global_step=step), None, logs=dict(BAD))
    rows = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [row["name"] for row in rows] == ["far from the reference"] * 2
    assert WINDOW < rows[0]["step"] < 2 * WINDOW < 3 * WINDOW < rows[1]["step"]
    assert screen.getvalue().count("raise beta") == 2


@pytest.mark.parametrize("checkpoint", [12, 15, 25])
def test_a_resumed_run_tells_what_an_unbroken_one_tells(tmp_path, checkpoint):
    course = [QUIET] * WINDOW + [{**QUIET, "kl": 3.0}] * 12 + [QUIET] * WINDOW
    args = [SimpleNamespace(output_dir=str(tmp_path / name)) for name in ("whole", "broken")]

    def train(where, first, last):
        callbacks = [MetricsCallback(), AlarmsCallback(Console(file=io.StringIO()))]
        for callback in callbacks:
            callback.on_train_begin(where, SimpleNamespace(is_world_process_zero=True, global_step=first), None)
        for step in range(first + 1, last + 1):
            state = SimpleNamespace(is_world_process_zero=True, global_step=step)
            for callback in callbacks:
                callback.on_log(where, state, None, logs=dict(course[step - 1]))

    train(args[0], 0, len(course))
    train(args[1], 0, checkpoint + 6)  # killed six steps after its checkpoint
    train(args[1], checkpoint, len(course))
    whole, broken = ((tmp_path / name / FILE).read_text() for name in ("whole", "broken"))
    assert whole == broken and "far from the reference" in whole
