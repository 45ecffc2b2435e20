"""Pass rates against a real HTTP server: counts, what is left out, and a kill in the middle."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_builders.pass_rate import PassRateConfig, build
from skinr1.errors import UserError
from skinr1.predictions import JOURNAL
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from tests.llm_server import FakeModel, served
from tests.recipes import runs

SAMPLES = 4


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """Eight prompts, each told apart by its words."""
    folder = runs.write_rows(tmp_path / "data")
    rows = list(read_jsonl(folder / "rl.jsonl"))
    for number, row in enumerate(rows):
        row["prompt"][-1]["content"][-1]["text"] = f"Prompt {number}"
    write_jsonl(folder / "train.jsonl", rows)
    write_manifest(folder, "rl", config={}, licences={"CC0-1.0": 8}, notes=["rendered, not clinical"])
    return folder


def asked_about(body: dict) -> int:
    return int(body["messages"][-1]["content"][-1]["text"].rpartition(" ")[2])


def reply(body: dict) -> str:
    """Prompts 0 and 1 always right, 2 and 3 never, 4 nothing readable, the others right on even seeds."""
    number = asked_about(body)
    node, other = (runs.NEVUS, runs.MELANOMA)[:: 1 if number % 2 == 0 else -1]
    if number == 4:
        return "no report"
    right = number < 2 or (number > 4 and body["seed"] % 2 == 0)
    return runs.answer(node if right else other)


def config(stage: Path, url: str, **changes: object) -> PassRateConfig:
    settings = {"samples": SAMPLES, "concurrency": 4, **changes}
    return PassRateConfig(rows=str(stage), model="model", output=str(stage.parent / "kept"), url=url, **settings)


def test_what_is_always_or_never_right_is_left_out(stage: Path):
    model = FakeModel(reply)
    with served(model) as url:
        counts = build(config(stage, url))
    kept = list(read_jsonl(stage.parent / "kept" / "train.jsonl"))
    rejected = {row["case_id"]: row for row in read_jsonl(stage.parent / "kept" / "rejected.jsonl")}
    assert [row["case_id"] for row in kept] == ["5", "6", "7"]
    assert {(row["sampled"], row["right"], row["invalid"]) for row in kept} == {(SAMPLES, SAMPLES // 2, 0)}
    assert {name: row["reason"] for name, row in rejected.items()} == {
        **dict.fromkeys(("0", "1"), "always right"),
        **dict.fromkeys(("2", "3", "4"), "always wrong"),
    }
    assert rejected["4"]["invalid"] == SAMPLES
    assert (counts["answers"], counts["right"], counts["invalid"]) == (32, 14, 4)
    assert all((stage.parent / "kept" / name).is_file() for row in kept for name in row["images"])
    manifest = read_manifest(stage.parent / "kept")
    assert (manifest["licences"], manifest["notes"]) == ({"CC0-1.0": 8}, ["rendered, not clinical"])


def test_each_sample_has_its_own_seed_and_is_asked_once(stage: Path):
    model = FakeModel(reply)
    with served(model) as url:
        build(config(stage, url))
        before = (stage.parent / "kept" / "train.jsonl").read_bytes()
        build(config(stage, url))
    assert model.calls == 8 * SAMPLES and set(model.asked.values()) == {1}
    assert {body["seed"] for body in model.bodies} == set(range(17, 17 + SAMPLES))
    assert (stage.parent / "kept" / "train.jsonl").read_bytes() == before


def test_killed_and_run_again_repeats_no_call(stage: Path):
    model = FakeModel(reply, delay=0.05)
    with served(model) as url:
        options = {"rows": stage, "model": "model", "output": stage.parent / "kept", "url": url, "samples": SAMPLES}
        flags = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        command = [sys.executable, "-m", "data_builders.pass_rate", *flags, "--concurrency", "2"]
        journal = stage.parent / "kept" / JOURNAL
        with subprocess.Popen(command, cwd=runs.ROOT, stdout=-3, stderr=-3) as process:
            while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") > 5):
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        kept = journal.read_bytes().count(b"\n")
        answered = model.calls
        build(config(stage, url))
    assert 5 < kept < 8 * SAMPLES
    assert model.calls - answered == 8 * SAMPLES - kept, "what the journal holds is not asked again"
    assert len(list(read_jsonl(stage.parent / "kept" / "train.jsonl"))) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 1}, "samples is under 2"),
        ({"rows": "nowhere"}, "no finished stage"),
        ({"model": "other"}, "other"),
    ],
)
def test_bad_input_is_one_line(stage: Path, changes: dict, message: str):
    with served(FakeModel(reply)) as url:
        settings = config(stage, url)
        for name, value in changes.items():
            setattr(settings, name, value)
        with pytest.raises(UserError, match=message) as error:
            build(settings)
    assert "\n" not in str(error.value)


def test_nothing_to_learn_says_so_and_lists_why(stage: Path):
    with served(FakeModel(lambda body: "no report")) as url, pytest.raises(UserError, match="no row to train on"):
        build(config(stage, url))
    rejected = (stage.parent / "kept" / "rejected.jsonl").read_text().splitlines()
    assert {json.loads(line)["reason"] for line in rejected} == {"always wrong"}
