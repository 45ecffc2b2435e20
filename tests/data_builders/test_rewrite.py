"""The rewriting stage against a real local server: rows, records, counts, equal bytes, and no question asked twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data_builders import rewrite, trajectories
from data_builders.rewrite import RewriteConfig
from data_builders.trajectories import TrajectoriesConfig
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.report import parse
from skinr1.stage import read_jsonl, read_manifest, write_jsonl, write_manifest
from tests.folders import digests
from tests.llm_server import BROKEN_JSON, HANG_UP, FakeModel, error, served
from tests.skinr1.grounded import MELANOMA, NEVUS, TREE, case, tree, write_knowledge
from tests.skinr1.writing_model import Words, colour_of, pictured, step_of

SIGNS = ("papule", "brown colour", "sharp border")
NEVUS_SEEN, MELANOMA_SEEN = "Form: papule. Border: sharp border.", "Form: plaque. Border: irregular border."
CASES = [
    case(NEVUS, present=SIGNS, case_id="dense-1", age=40),
    case(MELANOMA, present=("plaque", "irregular border"), case_id="dense-2"),
    case(MELANOMA, present=("plaque", "irregular border"), case_id="dense-3", split="validation"),
    case(NEVUS, present=SIGNS, case_id="dense-test", split="test"),
    case(NEVUS, role=Role.SPARSE, case_id="sparse-1"),
    case(role=Role.CAPTION, case_id="caption-1"),
    case(NEVUS, present=SIGNS, case_id="dense-lies"),
    case(NEVUS, role=Role.CAPTION, case_id="caption-misread"),
    case(NEVUS, role=Role.CAPTION, case_id="caption-named"),
]
SEEN = {
    "dense-2": MELANOMA_SEEN,
    "dense-3": MELANOMA_SEEN,
    "dense-lies": "Form: plaque.",
    "caption-misread": MELANOMA_SEEN,
    "caption-named": "A common nevus.",
}
QUESTIONS = 19  # 7 descriptions, 3 readings each of 3 texts, 3 arguments
WORDS = {colour_of(number): SEEN.get(one.case_id, NEVUS_SEEN) for number, one in enumerate(CASES)}


def write_inputs(run: Path, cases: list[Case]) -> None:
    folder = run / "cases"
    write_jsonl(folder / "cases.jsonl", [one.model_dump(mode="json") for one in pictured(cases, folder)])
    write_manifest(folder, "cases", config={}, notes=["rendered, not clinical"])
    write_knowledge(run / "knowledge")
    (run / "tree.yaml").write_text(TREE, encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_inputs(tmp_path, CASES)
    return tmp_path


def options(run: Path, url: str, **more: Any) -> dict[str, Any]:
    places = {"cases": "cases", "knowledge": "knowledge", "taxonomy": "tree.yaml", "output": "out", "cache": "cache"}
    return {"model": "m", "url": url, **{name: str(run / place) for name, place in places.items()}, **more}


def build(run: Path, model: FakeModel, **more: Any) -> dict[str, int]:
    with served(model) as url:
        return rewrite.build(RewriteConfig(**options(run, url, **more)), progress=False)


def rows(run: Path, name: str, output: str = "out") -> list[dict[str, Any]]:
    return list(read_jsonl(run / output / f"{name}.jsonl"))


def test_rows_are_conversations_with_provenance_and_record(run: Path) -> None:
    counts = build(run, FakeModel(Words(WORDS)))
    first = rows(run, "train")[1]
    assert (first["case_id"], first["kind"]) == ("dense-1", "described")
    assert first["images"] == ["../cases/images/dense-1.png"]
    answer = parse(first["completion"][0]["content"][0]["text"], tree())
    assert answer.report.diagnosis == NEVUS
    assert answer.thinking == " ".join(step["text"] for step in json.loads(first["provenance"]))
    record = {step["step"]: step for step in json.loads(first["record"])}
    assert [record[step]["saw_answer"] for step in ("description", "recoverability", "rationale")] == [
        False,
        True,
        True,
    ]
    assert record["description"]["asked"]["prompt"] == "describe v1"
    assert (run / "cache" / (key := record["description"]["asked"]["request"])[:2] / f"{key}.json").is_file()
    made = {(row["case_id"], row["kind"]) for row in rows(run, "train")}
    assert made == {
        *((name, kind) for name in ("dense-1", "dense-2", "dense-lies") for kind in ("description", "described")),
        ("caption-1", "description"),
    }
    assert {row["case_id"] for row in rows(run, "validation")} == {"dense-3"}
    sentences = rows(run, "sentences")
    assert [row["case_id"] for row in sentences] == [
        row["case_id"] for row in rows(run, "train") + rows(run, "validation")
    ]
    assert counts["rows:train"] == 7 and counts["cases"] == 7


def test_fallbacks_and_rejections_are_counted_and_listed(run: Path) -> None:
    build(run, FakeModel(Words(WORDS)))
    counts = read_manifest(run / "out")["counts"]
    (lied,) = [row for row in rows(run, "train") if row["case_id"] == "dense-lies" and row["kind"] == "description"]
    described = json.loads(lied["record"])[0]
    assert described["fallback"] is True and described["fault"].startswith("not grounded: not annotated: plaque")
    assert counts["fallback:description"] == counts["fault:description:not grounded"] == 1
    refused = {(row["case_id"], row["kind"]): row for row in rows(run, "rejected")}
    assert refused["caption-misread", "described"]["reason"] == "not recovered from the description"
    assert refused["caption-named", "description"]["reason"].startswith("not described: names a diagnosis")
    assert refused["caption-misread", "description"]["record"][1]["votes"][0]["named"] == "melanoma"
    assert counts["rejected"] == 4 and counts["not recovered"] == 1 and counts["recovered"] == 4


def test_a_missing_or_damaged_picture_is_rejected_without_its_place(run: Path) -> None:
    (run / "cases" / "images" / "dense-1.png").unlink()
    (run / "cases" / "images" / "caption-1.png").write_bytes(b"no picture")
    build(run, FakeModel(Words(WORDS)))
    refused = {row["case_id"]: row["reason"] for row in rows(run, "rejected")}
    assert refused["dense-1"] == "image does not exist: images/dense-1.png"
    assert refused["caption-1"] == "not an image, or of an unsupported format: images/caption-1.png"
    assert str(run) not in (run / "out" / "rejected.jsonl").read_text()


def test_same_answers_same_bytes_whatever_the_concurrency_and_the_faults(run: Path) -> None:
    build(run, FakeModel(Words(WORDS)), concurrency=1)
    noisy = FakeModel(Words(WORDS), [error(429, Retry_After="0"), HANG_UP], only=lambda body: step_of(body) == "reason")
    with served(noisy) as url:
        more = options(run, url, concurrency=16, output=str(run / "other"), cache=str(run / "other_cache"))
        rewrite.build(RewriteConfig(**more), progress=False)
    assert noisy.calls > noisy.answered.total() == QUESTIONS
    assert digests(run / "out") == digests(run / "other")
    assert set(digests(run / "out")) == {
        "train.jsonl",
        "validation.jsonl",
        "sentences.jsonl",
        "rejected.jsonl",
        "manifest.json",
    }


def test_a_second_run_asks_nothing_and_costs_the_same(run: Path) -> None:
    model = FakeModel(Words(WORDS))
    prices = {"m": [1.0, 2.0]}
    build(run, model, prices=prices)
    calls, before = model.calls, digests(run / "out")
    usage = read_manifest(run / "out")["usage"]["m"]
    assert usage["requests"] == calls == QUESTIONS and usage["cost"] == round(calls * (10 + 2 * 5) / 1e6, 6)
    build(run, model, prices=prices)
    assert model.calls == calls and digests(run / "out") == before


def test_trajectories_are_worded_anew(run: Path) -> None:
    place = {name: str(run / path) for name, path in (("cases", "cases"), ("knowledge", "knowledge"))}
    known = TrajectoriesConfig(**place, taxonomy=str(run / "tree.yaml"), output=str(run / "drafts"))
    trajectories.build(known, progress=False)
    model = FakeModel(Words(WORDS))
    counts = build(run, model, trajectories=str(run / "drafts"), roles=["caption"], open_question=True)
    drafts = rows(run, "train", "drafts")
    made = [row for row in rows(run, "train") if row["kind"] not in ("description", "described")]
    assert [(row["case_id"], row["kind"]) for row in made] == [(row["case_id"], row["kind"]) for row in drafts]
    assert all("Well: " in row["completion"][0]["content"][0]["text"] for row in made)
    assert counts["steps:reworded"] > len(made) and not any("fallback:rewording" in name for name in counts)
    worded = [json.dumps(body) for body in model.bodies if step_of(body) == "reword"]
    assert worded and len(set(worded)) == len(worded) and not any("image_url" in body for body in worded)
    liar = FakeModel(Words(WORDS, {"reword": "An ulcer is seen."}))
    counts = build(run, liar, trajectories=str(run / "drafts"), roles=["caption"], open_question=True, seed=1)
    made = [row for row in rows(run, "train") if row["kind"] not in ("description", "described")]
    assert [row["completion"] for row in made] == [row["completion"] for row in drafts]
    (record,) = json.loads(made[0]["record"])
    assert record["fallback"] is True and record["kept"][0] == {"step": 0, "fault": "not grounded: An ulcer is seen."}
    assert counts["fallback:rewording: not grounded"] == sum(
        len(json.loads(row["provenance"])) for row in drafts
    ) + sum(len(json.loads(row["provenance"])) for row in rows(run, "validation", "drafts"))


def test_a_key_is_read_from_its_file_and_written_nowhere(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "key").write_text("sk-hush-hush\n")
    model = FakeModel(Words(WORDS))
    build(run, model, key_file=str(run / "key"))
    assert {headers["Authorization"] for headers in model.headers} == {"Bearer sk-hush-hush"}
    (run / "key").unlink()
    kept = [path for path in run.rglob("*") if path.is_file() and b"sk-hush" in path.read_bytes()]
    assert kept == [] and "sk-hush" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"url": "http:" + "//me:hush@127.0.0.1:1/v1"}, "user name or a password"),
        ({"url": "127.0.0.1:1"}, "not the address"),
        ({"key_file": "nowhere"}, "key file not found"),
        ({"roles": ["thick"]}, "unknown role"),
        ({"votes": 0}, "votes is under 1"),
        ({"votes_needed": 9}, "more votes needed"),
        ({"vote_temperature": 0.0}, "all the same"),
        ({"temperature": -1.0}, "temperature is not in 0 to 2"),
        ({"timeout": float("nan")}, "timeout is no number"),
        ({"prices": "x"}, "not readable"),
        ({"cases": "nowhere"}, "file not found"),
        ({"taxonomy": "nowhere"}, "taxonomy file not found"),
        ({"trajectories": "nowhere"}, "file not found"),
        ({"roles": ["sparse"]}, "gives the answer away"),
    ],
)
def test_bad_configuration_is_one_line(run: Path, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        rewrite.build(RewriteConfig(**{**options(run, "http://127.0.0.1:9/v1"), **changes}), progress=False)
    assert "\n" not in str(caught.value) and "hush" not in str(caught.value)


def test_a_server_that_is_down_keeps_what_was_answered(run: Path) -> None:
    model = FakeModel(Words(WORDS), [error(401, "expired")] * 99, only=lambda body: step_of(body) == "reason")
    with pytest.raises(UserError, match="server answered 401: expired"):
        build(run, model, concurrency=1)
    answered = model.answered.total()
    assert answered >= 4 and not (run / "out" / "manifest.json").exists()
    model.faults = []
    build(run, model)
    assert set(model.answered.values()) == {1} and model.answered.total() == QUESTIONS


def command(run: Path, url: str) -> list[str]:
    recipe = run / "recipe.yaml"
    values = options(run, url, concurrency=4, prices={"m": [1, 2]})
    recipe.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return [sys.executable, "-m", "data_builders.rewrite", "--config", str(recipe)]


@pytest.mark.parametrize("kept", [1, 30])
def test_after_kill_9_nothing_that_was_kept_is_asked_again(tmp_path: Path, kept: int) -> None:
    """``kept``: answers in the cache when the process is killed."""
    cases = [case(NEVUS, present=SIGNS, case_id=f"n-{n}") for n in range(10)]
    cases += [case(MELANOMA, present=("plaque", "irregular border"), case_id=f"m-{n}") for n in range(5)]
    write_inputs(tmp_path, cases)
    words = {colour_of(n): NEVUS_SEEN if n < 10 else MELANOMA_SEEN for n in range(15)}
    # Descriptions differ in an article, so that no two cases share a question.
    words = {
        key: f"{'The ' * (n + 1)}papule. {text}" if n < 10 else text for n, (key, text) in enumerate(words.items())
    }
    model = FakeModel(Words(words), [BROKEN_JSON], only=lambda body: step_of(body) == "describe", delay=0.05)
    cache = tmp_path / "cache"
    with served(model) as url:
        process = subprocess.Popen(command(tmp_path, url), env={**os.environ, "PYTHONHASHSEED": "1"})
        deadline = time.monotonic() + 120
        while len(list(cache.rglob("[0-9a-f]*.json"))) < kept and process.poll() is None:
            assert time.monotonic() < deadline, "the first run does not get on"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.2)  # what was under way reaches the server or nobody
        known = len(list(cache.rglob("[0-9a-f]*.json")))
        answered = model.answered.copy()
        assert known >= kept and not (tmp_path / "out" / "manifest.json").exists()
        assert answered.total() - known <= 4  # answered and not kept: at most the requests under way
        subprocess.run(command(tmp_path, url), check=True, env={**os.environ, "PYTHONHASHSEED": "2"})
        repeated = sum(count - 1 for count in model.answered.values())
        assert repeated == answered.total() - known  # only what the kill took
        after, total = digests(tmp_path / "out"), model.answered.total()
        values = options(tmp_path, url, output=str(tmp_path / "calm"), cache=str(tmp_path / "calm_cache"))
        rewrite.build(RewriteConfig(**values, concurrency=1, prices={"m": [1, 2]}), progress=False)
        assert digests(tmp_path / "calm") == after
    assert model.answered.total() - total == len(model.answered) > 40


def test_help_and_unknown_options(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rewrite.main(["--help"])
    shown = capsys.readouterr().out
    assert "OpenAI-compatible endpoint" in shown and "--votes_needed" in shown
    with pytest.raises(UserError, match="Did you mean 'votes_needed'"):
        rewrite.main(["--model", "m", "--vote_needed", "1"])
