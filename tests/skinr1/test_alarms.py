"""Every alarm can be raised, stays silent in a quiet run, and is said once."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from skinr1.training.alarms import FILE, RULES, WINDOW, AlarmsCallback, alarms

QUIET = {
    "frac_reward_zero_std": 0.2,
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
    "frac_reward_zero_std": 0.9,
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
    logs = [QUIET] * WINDOW + [{**QUIET, rule.metric: BAD[rule.metric]}] * WINDOW
    (alarm,) = alarms(logs)
    assert (alarm.name, alarm.value) == (rule.name, pytest.approx(BAD[rule.metric]))
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
