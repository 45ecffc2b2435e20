"""eval/predict.py --task and eval/score.py: every form end to end, cache, budget, key, a model in this process."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skinr1.cases import Case, Finding
from skinr1.controls.asked import Asked
from skinr1.errors import UserError
from skinr1.predictions import Journal
from skinr1.seven_point import CRITERIA
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy
from tests.eval.conftest import load
from tests.folders import digests
from tests.llm_server import FakeModel, completion, error, served
from tests.recipes.runs import MELANOMA, NEVUS, answer, environment, write_base

TREE = Taxonomy.load()
TASKS = Path(__file__).parents[2] / "eval" / "tasks"
ECZEMA = "inflammatory/eczematous/dermatitis/nummular_eczema"
KERATOSIS = "neoplasm/benign/keratinocytic/seborrheic_keratosis"
NODES = (NEVUS, MELANOMA, ECZEMA, KERATOSIS)
CASES = 12
KEY = "sk-secret-of-the-test"
CHECKLIST = dict.fromkeys(CRITERIA, "absent")


@pytest.fixture(scope="module")
def scripts() -> dict[str, ModuleType]:
    return {name: load(name) for name in ("predict", "score")}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Twelve cases of four diagnoses; the age says which, so that a model of text can be right."""
    folder, rows = tmp_path / "cases", []
    (folder / "images").mkdir(parents=True)
    absent = [name for values in CRITERIA.values() for counts, name in values.values() if counts]
    for n in range(CASES):
        pixels = np.random.default_rng(n).integers(0, 255, (40, 40 + n, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{n}.png")
        case = Case(
            case_id=f"c{n:03}",
            source=("ddi", "omnimedvqa")[n % 2] if n < 8 else "clinic",
            images=(f"images/{n}.png",),
            role="sparse",
            diagnoses=(NODES[n // 2 % 4],),
            findings=(Finding(concept="papule"), *(Finding(concept=name, present=False) for name in absent)),
            patient_id=f"p{n}",
            age=n // 2 % 4,
            modality="dermoscopic",
            licence="CC0",
            split="test",
        )
        rows.append(case.model_dump(mode="json"))
    write_jsonl(folder / "cases.jsonl", rows)
    return folder


def words(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"][-1]["text"]


def right(body: dict[str, Any]) -> str:
    """Reads the age, and answers in whatever form the words ask for."""
    text = words(body)
    age = re.search(r"age (\d)", text)
    node = NODES[int(age[1])] if age else NEVUS
    if '"choice"' in text:
        shown = re.findall(r"(?m)^(\d+)\. (.*)$", text)
        path = [TREE.node(part).name for part in TREE.path(node)]
        names = [*path, *(": ".join(path[: depth + 1]) for depth in range(len(path)))]
        return json.dumps(
            {"choice": int(max(shown, key=lambda one: names.index(one[1]) if one[1] in names else -1)[0])}
        )
    if '"condition"' in text:
        return json.dumps({"condition": TREE.bucket(node)})
    if '"differential"' in text:
        return json.dumps({"differential": [{"diagnosis": TREE.node(node).name, "probability": 0.9}]})
    if '"signs"' in text:
        return '{"signs": ["papule"]}'
    if '"streaks"' in text:
        return json.dumps(CHECKLIST)
    if "<final diagnosis>" in text:
        return "<thinking>A guess.</thinking> <final diagnosis>A</final diagnosis>"
    return answer(node)


Run = Callable[..., FakeModel]


@pytest.fixture
def run(cases: Path, tmp_path: Path, scripts: dict[str, ModuleType]) -> Iterator[Run]:
    """Has a model do a task; its predictions lie in tmp_path/output."""

    def go(task: str | None, output: str, *more: str, model: FakeModel | None = None) -> FakeModel:
        model = model or FakeModel(right)
        with served(model) as url:
            given = [f"--cases={cases}", f"--output={tmp_path / output}", f"--url={url}", "--model=model", *more]
            scripts["predict"].main([*given, *([f"--task={TASKS / task}.yaml"] if task else [])])
        return model

    yield go


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(folder / "predictions.jsonl"))


def scores(folder: Path, scripts: dict[str, ModuleType]) -> dict[str, Any]:
    output = folder.with_name(f"{folder.name}-scores")
    scripts["score"].main([f"--predictions={folder}", f"--output={output}", "--resamples=20"])
    return json.loads((output / "scores.json").read_text())


@pytest.mark.parametrize(
    ("task", "perfect"),
    [
        ("choice", ["choice_accuracy", "option_given_rate", "top1"]),
        ("ddx_choice", ["choice_accuracy", "top1"]),
        ("choice_by_level", ["choice_accuracy", "choice_accuracy_level_1", "choice_accuracy_level_2"]),
        ("descent", ["step_accuracy", "whole_walk_rate", "top1", "hierarchical_f"]),
        ("differential", ["top1", "top6", "mrr"]),
        ("condition", ["condition_accuracy", "malignancy_sensitivity"]),
        ("signs", ["findings_f1"]),
        ("checklist", ["checklist_field_accuracy", "checklist_suspicious_agreement"]),
        ("open_diagnosis", ["top1", "hierarchical_f"]),
    ],
)
def test_a_model_that_knows_is_right_in_every_form(
    run: Run, tmp_path: Path, scripts: dict[str, ModuleType], task: str, perfect: list[str]
) -> None:
    run(task, "p")
    found = scores(tmp_path / "p", scripts)
    assert found["task"]["name"] == task
    assert {name: found["metrics"][name]["value"] for name in ["valid_report_rate", *perfect]} == dict.fromkeys(
        ["valid_report_rate", *perfect], 1
    )
    assert set(perfect) <= set(found["task"]["metrics"])
    if task == "ddx_choice":
        assert found["metrics"]["rivals_shortcut_accuracy"]["value"] == found["metrics"]["chance_level"]["value"] < 1


@pytest.mark.parametrize("path", sorted((TASKS / "paper").glob("*.yaml")), ids=lambda path: path.stem)
def test_papers_benchmarks_are_scored_by_both_parsers(
    run: Run, tmp_path: Path, scripts: dict[str, ModuleType], path: Path
) -> None:
    more = ["--split=all"]
    run(f"paper/{path.stem}", "p", *more, model=FakeModel(lambda body: "<final diagnosis>Option A</final diagnosis>"))
    found = scores(tmp_path / "p", scripts)["metrics"]
    assert found["valid_report_rate"]["value"] == 0  # read strictly, no letter
    assert found["released_parser_accuracy"]["value"] is not None
    if path.stem != "skin_r1_condition":
        assert found["choice_accuracy"]["value"] == 0 and 0 < found["chance_level"]["value"] < 1


def test_rows_of_a_task_and_its_manifest(run: Run, tmp_path: Path) -> None:
    run("choice_by_level", "p")
    found = rows(tmp_path / "p")
    assert [row["case_id"] for row in found[:2]] == ["c000#level-1", "c000#level-2"]
    assert found[0]["form"] == "choice" and sorted(found[0]["options"]) == [
        ["inflammatory"],
        ["neoplasm"],
    ]
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text())
    assert manifest["config"]["task"]["options"] == {"kind": "level", "size": 4}
    assert manifest["config"]["task"]["prompt"].startswith("{context}Which of these")
    run("ddi_open", "ddi")
    manifest = json.loads((tmp_path / "ddi" / "manifest.json").read_text())
    assert manifest["counts"] == {"cases": 4, "cut": 0, "unlabelled": 0, "not asked: of another source": 8}
    assert len(list(read_jsonl(tmp_path / "ddi" / "rejected.jsonl"))) == 8
    with pytest.raises(UserError, match="task ddi_open"):
        Asked.of(tmp_path / "ddi")


def test_a_report_asked_as_a_task_is_the_same_request(run: Run, tmp_path: Path) -> None:
    plain, task = run(None, "plain"), run("open_diagnosis", "task")
    assert sorted(plain.asked) == sorted(task.asked)
    assert (tmp_path / "plain" / "predictions.jsonl").read_bytes() == (
        tmp_path / "task" / "predictions.jsonl"
    ).read_bytes()
    assert "task" not in json.loads((tmp_path / "plain" / "manifest.json").read_text())["config"]


def test_structured_answers_are_forced_by_the_form(run: Run) -> None:
    choice, level = run("choice", "a", "--structured=true"), run("condition", "b", "--structured=true")
    assert all('"{" "\\"choice\\":"' in body["response_format"]["format"]["grammar"] for body in choice.bodies)
    assert all("malignant" in body["response_format"]["format"]["grammar"] for body in level.bodies)
    assert run("open_diagnosis", "c", "--structured=true").bodies[0]["response_format"]["format"]["type"] == "sequence"
    with pytest.raises(UserError, match="no schema"):
        run("paper/skin_r1_condition", "d", "--structured=true")


def test_a_stopped_descent_asks_nothing_twice(run: Run, tmp_path: Path) -> None:
    whole = run("descent", "whole")
    part = FakeModel(right)
    with pytest.raises(UserError, match="budget"):
        run("descent", "p", "--budget_tokens=225", "--concurrency=1", model=part)  # 15 tokens an answer
    assert part.calls == 15
    run("descent", "p", "--concurrency=1", model=part)
    assert part.calls == whole.calls and set(part.asked.values()) == {1}
    for name in ("predictions.jsonl", "manifest.json"):
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [len(row["steps"]) for row in rows(tmp_path / "p")[:8:2]] == [3, 2, 1, 3]


def test_a_killed_descent_goes_on_where_it_was(run: Run, cases: Path, tmp_path: Path) -> None:
    """kill -9: what was kept is not asked again; at most what was under way is."""
    whole, model = run("descent", "whole"), FakeModel(right, delay=0.2)
    with served(model) as url:
        given = [f"--cases={cases}", f"--output={tmp_path / 'p'}", f"--url={url}", "--model=model", "--concurrency=2"]
        script = [sys.executable, str(TASKS.parent / "predict.py"), *given, f"--task={TASKS / 'descent.yaml'}"]
        with subprocess.Popen(script, stderr=subprocess.DEVNULL, env=environment()) as process:
            while model.answered.total() < 14:  # in the second round
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
    kept = len((tmp_path / "p" / "journal.jsonl").read_bytes().splitlines())
    assert kept >= 12 and not (tmp_path / "p" / "manifest.json").exists()
    model.delay = 0
    model.stopping.clear()
    run("descent", "p", model=model)
    assert model.calls <= whole.calls + 2
    assert rows(tmp_path / "p") == rows(tmp_path / "whole")


def test_a_budget_is_told_in_one_line_and_needs_counts(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="token budget is spent") as caught:
        run("condition", "p", "--budget_tokens=30", "--concurrency=1")
    assert "\n" not in str(caught.value) and not (tmp_path / "p" / "predictions.jsonl").exists()
    assert len((tmp_path / "p" / "journal.jsonl").read_text().splitlines()) == 2
    paid = FakeModel(right, delay=0.05)
    with pytest.raises(UserError, match="token budget is spent"):
        run("condition", "several", "--budget_tokens=30", "--concurrency=4", model=paid)
    assert len((tmp_path / "several" / "journal.jsonl").read_text().splitlines()) == paid.calls <= 5
    silent = FakeModel(lambda body: completion(right(body)))
    with pytest.raises(UserError, match="does not count tokens"):
        run("condition", "q", "--budget_tokens=30", "--concurrency=1", model=silent)


def test_runs_share_a_cache_and_another_model_does_not(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"one")
    shared = [f"--cache={tmp_path / 'cache'}", f"--weights={weights}"]
    assert run("condition", "first", *shared).calls == CASES
    assert run("condition", "second", *shared, "--budget_tokens=1").calls == 0  # found answers cost nothing
    for name in ("predictions.jsonl", "manifest.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    (weights / "model.safetensors").write_bytes(b"other")
    assert run("condition", "third", *shared).calls == CASES  # the same name, other weights
    assert run("condition", "fourth", f"--cache={tmp_path / 'cache'}").calls == CASES  # weights unknown: by address
    shutil.rmtree(weights)
    weights.mkdir()
    with pytest.raises(UserError, match="no safetensors weights here"):
        run("condition", "fifth", *shared)


def test_a_journal_knows_the_weights_without_a_cache(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    hashes = []
    for content, calls in ((b"one", 3), (b"one", 0), (b"trained again", 3)):
        (weights / "model.safetensors").write_bytes(content)
        assert run("condition", "p", f"--weights={weights}", "--limit=3").calls == calls
        hashes.append(json.loads((tmp_path / "p" / "manifest.json").read_text())["config"]["weights"])
    assert hashes[0] == hashes[1] != hashes[2]
    assert run("condition", "p", "--limit=3").calls == 3
    assert "weights" not in json.loads((tmp_path / "p" / "manifest.json").read_text())["config"]


def test_a_key_is_sent_and_never_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    model = run("choice", "p", f"--api_key_file={tmp_path / 'key'}", f"--cache={tmp_path / 'cache'}")
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in model.headers)
    for folder in ("p", "cache"):
        for path in (tmp_path / folder).rglob("*"):
            assert path.is_dir() or (KEY not in path.read_text() and "127.0.0.1" not in path.read_text())
    with pytest.raises(UserError, match="key file not found"):
        run("choice", "q", f"--api_key_file={tmp_path / 'nothing'}")
    refusing = FakeModel(right, faults=[error(401, f"no such key: {KEY}")])
    with pytest.raises(UserError, match=r"no such key: \[key\]") as caught:
        run("choice", "r", f"--api_key_file={tmp_path / 'key'}", model=refusing)
    assert KEY not in str(caught.value)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("weights") / "model", "qwen2_5_vl")


def local(cases: Path, output: Path, weights: Path, *more: str) -> list[str]:
    given = [f"--cases={cases}", f"--output={output}", "--model=tiny", "--backend=transformers", f"--weights={weights}"]
    return [*given, "--max_tokens=6", "--batch=5", *more]


def test_a_model_in_this_process_answers_in_batches_and_resumes(
    cases: Path, tmp_path: Path, scripts: dict[str, ModuleType], model_folder: Path
) -> None:
    predict = scripts["predict"].main
    predict(local(cases, tmp_path / "whole", model_folder))
    found = rows(tmp_path / "whole")
    assert len(found) == CASES and all(row["finish_reason"] in ("length", "stop") for row in found)
    assert any(row["text"] for row in found)
    (tmp_path / "p").mkdir()
    kept = (
        (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)[:7]
    )  # killed in the second batch
    (tmp_path / "p" / "journal.jsonl").write_bytes(b"".join(kept))
    predict(local(cases, tmp_path / "p", model_folder))
    assert digests(tmp_path / "p") == digests(tmp_path / "whole")
    config = json.loads((tmp_path / "p" / "manifest.json").read_text())["config"]
    assert (config["backend"], config["batch"], config["dtype"]) == ("transformers", 5, "float32")
    predict(local(cases, tmp_path / "task", model_folder, f"--task={TASKS / 'descent.yaml'}"))
    assert {row["form"] for row in rows(tmp_path / "task")} == {"descent"}


def test_one_answer_is_that_of_the_batch(
    cases: Path, tmp_path: Path, scripts: dict[str, ModuleType], model_folder: Path
) -> None:
    for batch in (1, 5):
        scripts["predict"].main([*local(cases, tmp_path / f"{batch}", model_folder), f"--batch={batch}", "--limit=5"])
    one, five = (rows(tmp_path / name) for name in ("1", "5"))
    assert [row["text"] for row in one] == [row["text"] for row in five]
    kept = [Journal(tmp_path / name / "journal.jsonl").answers.keys() for name in ("1", "5")]
    assert len(kept[0]) == 5 and kept[0].isdisjoint(kept[1])  # the same in other company is another question


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--structured=true"], "greedily and unforced"),
        (["--temperature=1"], "greedily and unforced"),
        (["--weights=nowhere"], "no such model folder"),
        (["--batch=0"], "batch is under 1"),
    ],
)
def test_what_a_model_in_this_process_cannot_do(
    cases: Path, tmp_path: Path, scripts: dict[str, ModuleType], model_folder: Path, more: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        scripts["predict"].main(local(cases, tmp_path / "p", model_folder, *more))


def test_transformers_need_weights(cases: Path, tmp_path: Path, scripts: dict[str, ModuleType]) -> None:
    with pytest.raises(UserError, match="no model to load"):
        scripts["predict"].main([f"--cases={cases}", f"--output={tmp_path}", "--model=m", "--backend=transformers"])
