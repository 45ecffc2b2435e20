"""The pass-rate stage against a real local server: what stays, what goes and why, and no question asked twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data_builders import pass_rate, rl
from data_builders.pass_rate import PassRateConfig
from data_builders.rl import RlConfig
from skinr1.cases import Role
from skinr1.errors import UserError
from skinr1.report import Answer, render
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from tests.folders import digests
from tests.llm_server import FakeModel, completion, error, served
from tests.skinr1 import sample_report
from tests.skinr1.grounded import MELANOMA, NEVUS, TREE, case
from tests.skinr1.sample_report import REPORT
from tests.skinr1.writing_model import colour_of, picture_of, pictured

SAMPLES = 4
RIGHT = render(Answer("Seen: papule.", REPORT))
for other, here in ((sample_report.NEVUS, NEVUS), (sample_report.MELANOMA, MELANOMA)):
    RIGHT = RIGHT.replace(other, here)
WRONG = RIGHT.replace(f'"diagnosis":"{NEVUS}"', '"diagnosis":"inflammatory"')
CASES = [
    *(case(NEVUS, role=Role.SPARSE, case_id=f"nevus-{n}") for n in range(SAMPLES + 1)),  # the n-th: n right answers
    case(MELANOMA, NEVUS, role=Role.SPARSE, case_id="either"),
    case(NEVUS, role=Role.SPARSE, case_id="invalid"),
    case(NEVUS, role=Role.SPARSE, case_id="cut"),
    case(NEVUS, role=Role.SPARSE, case_id="refused"),
    case(NEVUS, role=Role.SPARSE, case_id="later", split="validation"),
]
NAMES = {colour_of(number): one.case_id for number, one in enumerate(CASES)}


def answer(body: dict[str, Any]) -> str | dict[str, Any]:
    name = NAMES[picture_of(body)]
    if name == "cut":
        return completion(RIGHT[:40] if body["seed"] % 2 else RIGHT, "length" if body["seed"] % 2 else "stop")
    if name in ("either", "invalid"):
        return RIGHT if body["seed"] == 0 else "It is a common nevus."
    return RIGHT if body["seed"] < int(name[-1] if name[-1].isdigit() else 2) else WRONG


def refuses(body: dict[str, Any]) -> bool:
    return NAMES[picture_of(body)] == "refused"


def model(**more: Any) -> FakeModel:
    return FakeModel(answer, [error(400, "too long")] * 9, only=refuses, **more)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_inputs(tmp_path, CASES)
    return tmp_path


def write_inputs(run: Path, cases: list) -> None:
    folder = run / "cases"
    write_jsonl(folder / "cases.jsonl", [one.model_dump(mode="json") for one in pictured(cases, folder)])
    write_manifest(folder, "cases", config={}, notes=["rendered, not clinical"])
    (run / "tree.yaml").write_text(TREE, encoding="utf-8")
    places = {"cases": str(folder), "taxonomy": str(run / "tree.yaml"), "output": str(run / "rl")}
    rl.build(RlConfig(**places), progress=False)


def options(run: Path, url: str, **more: Any) -> dict[str, Any]:
    places = {"rl": "rl", "taxonomy": "tree.yaml", "output": "deep/out", "cache": "cache"}
    common = {"model": "m", "url": url, "samples": SAMPLES, "ban_image_tokens": False}
    return {**common, **{name: str(run / place) for name, place in places.items()}, **more}


def build(run: Path, fake: FakeModel, **more: Any) -> dict[str, int]:
    with served(fake) as url:
        return pass_rate.build(PassRateConfig(**options(run, url, **more)), progress=False)


def rows(run: Path, name: str, output: str = "deep/out") -> list[dict[str, Any]]:
    return list(read_jsonl(run / output / f"{name}.jsonl"))


def test_what_is_always_or_never_right_goes_and_the_counts_stay(run: Path) -> None:
    build(run, model())
    kept = {row["case_id"]: (row["right"], row["sampled"]) for row in rows(run, "train")}
    assert kept == {
        **{f"nevus-{n}": (n, SAMPLES) for n in range(1, SAMPLES)},
        **{"either": (1, SAMPLES), "invalid": (1, SAMPLES), "cut": (2, SAMPLES)},
    }
    gone = {row["case_id"]: row for row in rows(run, "rejected")}
    assert set(gone) == {"nevus-0", f"nevus-{SAMPLES}", "refused"}
    assert (gone["nevus-0"]["reason"], gone["nevus-0"]["right"], gone["nevus-0"]["sampled"]) == ("always wrong", 0, 4)
    assert (gone["nevus-4"]["reason"], gone["nevus-4"]["right"], gone["nevus-4"]["sampled"]) == ("always right", 4, 4)
    assert gone["refused"]["reason"] == "refused by the endpoint: server answered 400: too long"
    assert gone["refused"]["sampled"] == 0


def test_answers_are_counted_and_licences_and_notes_go_along(run: Path) -> None:
    counts = build(run, model())
    manifest = read_manifest(run / "deep" / "out")
    assert manifest["counts"] == counts
    assert (counts["answers"], counts["answers:right"]) == (32, 14)
    assert counts["answers:invalid"] == counts["answers:invalid:think"] + counts["answers:invalid:json"] == 8
    assert counts["answers:cut off"] == 2 and counts["not asked:validation"] == 1
    assert counts["prompts:0 of 4 right"] == counts["prompts:4 of 4 right"] == 1 and counts["prompts:1 of 4 right"] == 3
    assert (counts["rejected"], counts["rejected:always wrong"], counts["rejected:refused by the endpoint"]) == (
        3,
        1,
        1,
    )
    before = read_manifest(run / "rl")
    assert manifest["licences"] == before["licences"] == {"CC0-1.0": 10}
    assert manifest["notes"] == ["rendered, not clinical"] and manifest["taxonomy"] == before["taxonomy"]
    assert manifest["usage"]["m"]["requests"] == 32


def test_rows_stay_as_they_were_and_their_images_are_found(run: Path) -> None:
    build(run, model())
    before = {row["case_id"]: row for row in [*rows(run, "train", "rl"), *rows(run, "validation", "rl")]}
    for row in [*rows(run, "train"), *rows(run, "validation")]:
        assert all((run / "deep" / "out" / name).is_file() for name in row["images"])
        added = {"right", "sampled"} if row["case_id"] != "later" else set()
        known = before[row["case_id"]]
        assert {name: row[name] for name in known if name != "images"} | {"images": known["images"]} == known
        assert set(row) - set(known) == added


def test_validation_is_asked_only_on_demand(run: Path) -> None:
    fake = model()
    build(run, fake)
    assert all(NAMES[picture_of(body)] != "later" for body in fake.bodies)
    counts = build(run, fake, split="both")
    assert rows(run, "validation")[0]["right"] == 2 and "not asked:validation" not in counts


def test_each_answer_has_a_seed_and_the_prompt_of_the_row(run: Path) -> None:
    fake = model()
    build(run, fake, seed=0, ban_image_tokens=True, max_tokens=77, temperature=0.9)
    asked = [body for body in fake.bodies if NAMES[picture_of(body)] == "either"]
    assert sorted(body["seed"] for body in asked) == [0, 1, 2, 3]
    (row,) = [row for row in rows(run, "train", "rl") if row["case_id"] == "either"]
    for body in asked:
        assert [message["content"][-1] for message in body["messages"]] == [m["content"][-1] for m in row["prompt"]]
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 77, 0.9)
        assert body["logit_bias"] and "response_format" not in body


def test_a_lost_picture_is_rejected_without_its_place(run: Path) -> None:
    (run / "cases" / "images" / "nevus-1.png").unlink()
    build(run, model())
    (lost,) = [row for row in rows(run, "rejected") if row["case_id"] == "nevus-1"]
    assert lost["reason"] == "image not found: ../cases/images/nevus-1.png"
    assert str(run) not in (run / "deep" / "out" / "rejected.jsonl").read_text()


def test_same_bytes_whatever_the_concurrency_and_nothing_asked_twice(run: Path) -> None:
    fake = model()
    build(run, fake, concurrency=1)
    before, calls = digests(run / "deep" / "out"), fake.answered.total()
    build(run, fake, concurrency=16)
    assert fake.answered.total() == calls == 32 and digests(run / "deep" / "out") == before
    build(run, model(), concurrency=16, cache=str(run / "other"))
    assert digests(run / "deep" / "out") == before
    assert set(before) == {"train.jsonl", "validation.jsonl", "rejected.jsonl", "manifest.json"}


def command(run: Path, url: str) -> list[str]:
    (run / "recipe.yaml").write_text(json.dumps(options(run, url, concurrency=4)), encoding="utf-8")
    return [sys.executable, "-m", "data_builders.pass_rate", "--config", str(run / "recipe.yaml")]


def test_after_kill_9_nothing_that_was_kept_is_asked_again(run: Path) -> None:
    fake, cache = model(delay=0.05), run / "cache"
    with served(fake) as url:
        process = subprocess.Popen(command(run, url), env={**os.environ, "PYTHONHASHSEED": "1"})
        deadline = time.monotonic() + 120
        while len(list(cache.rglob("[0-9a-f]*.json"))) < 6 and process.poll() is None:
            assert time.monotonic() < deadline, "the first run does not get on"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.2)  # what was under way reaches the server or nobody
        known, answered = len(list(cache.rglob("[0-9a-f]*.json"))), fake.answered.copy()
        assert 6 <= known < 32 and not (run / "deep" / "out" / "manifest.json").exists()
        assert answered.total() - known <= 4  # at most the requests under way were answered and not kept
        subprocess.run(command(run, url), check=True, env={**os.environ, "PYTHONHASHSEED": "2"})
    repeated = sum(count - 1 for count in fake.answered.values())
    assert repeated == answered.total() - known and len(fake.answered) == 32
    after = digests(run / "deep" / "out")
    build(run, model(), cache=str(run / "calm"))
    assert digests(run / "deep" / "out") == after


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"samples": 1}, "samples is under 2"),
        ({"temperature": 0.0}, "temperature is not above 0"),
        ({"timeout": 0.0}, "timeout is no number"),
        ({"split": "test"}, "unknown split"),
        ({"rl": "nowhere"}, "no finished stage here"),
        ({"taxonomy": None}, "another taxonomy"),
        ({"url": "127.0.0.1"}, "not the address"),
    ],
)
def test_bad_settings_are_one_line(run: Path, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        pass_rate.build(PassRateConfig(**{**options(run, "http://127.0.0.1:9/v1"), **changes}), progress=False)
    assert "\n" not in str(caught.value)


def test_rows_without_a_truth_and_nothing_left_are_one_line(run: Path) -> None:
    fake = FakeModel(lambda body: WRONG)
    with pytest.raises(UserError, match="no row to train on"):
        build(run, fake)
    assert {row["reason"] for row in rows(run, "rejected")} == {"always wrong"}
    write_jsonl(run / "rl" / "train.jsonl", [{"prompt": [], "images": [], "case_id": "x"}])
    with pytest.raises(UserError, match="column 'diagnoses' is missing"):
        build(run, fake)
