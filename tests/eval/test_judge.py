"""eval/judge.py against a small HTTP server: verdicts, votes, agreement with the checker, and nothing asked twice."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from skinr1.cases import Case, Finding, Role
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.metrics import rationale, read_outcomes
from skinr1.predictions import prediction_row
from skinr1.serving.client import Completion
from skinr1.stage import read_jsonl, write_jsonl, write_manifest
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories.free_text import check_text
from tests.eval.conftest import load
from tests.folders import digests
from tests.llm_server import FakeModel, error, served
from tests.recipes.runs import NEVUS, answer

TREE = Taxonomy.load()
BOOK = Knowledge.primer(TREE)
GOOD, BAD = "There is a papule.", "There is scale."
CITED = "Textbook [primer:common-nevus#morphology]: common nevus shows papule."


def case(number: int) -> Case:
    signs = (Finding(concept="papule"), Finding(concept="brown colour"), Finding(concept="scale", present=False))
    return Case(
        case_id=f"c{number:02}",
        source="test",
        images=("a.png",),
        role=Role.DENSE,
        diagnoses=(NEVUS,),
        findings=signs,
        patient_id=f"p{number // 2}",
        licence="CC0",
        split="test",
    )


def says(thinking: str | None) -> str:
    """An answer with this reasoning; None for one that is no report."""
    whole = answer(NEVUS)
    return "I see a mole." if thinking is None else f"<think>{thinking}</think>{whole.partition('</think>')[2]}"


THINKING = [f"{GOOD} {BAD}", f"{GOOD} {CITED}", f"{BAD} {GOOD} {CITED}", GOOD, f"{GOOD} {GOOD}", None]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    cases = [case(number) for number in range(len(THINKING))]
    write_jsonl(tmp_path / "cases" / "cases.jsonl", [one.model_dump(mode="json") for one in cases])
    write_manifest(tmp_path / "cases", "cases", config={})
    rows = [prediction_row(c, Completion(says(t), "stop"), TREE) for c, t in zip(cases, THINKING, strict=True)]
    write_jsonl(tmp_path / "predictions" / "grpo" / "predictions.jsonl", rows)
    write_manifest(tmp_path / "predictions" / "grpo", "predict", config={})
    BOOK.save(tmp_path / "knowledge")
    write_manifest(tmp_path / "knowledge", "knowledge", config={})
    return tmp_path


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("judge")


def numbered(body: dict[str, Any]) -> list[str]:
    text = body["messages"][-1]["content"][0]["text"]
    return re.findall(r"(?m)^\d+\. (.*)$", text.partition("Sentences:\n")[2])


def fair(body: dict[str, Any]) -> str:
    """Contradicts what is bad, and supports the rest."""
    verdicts = ["contradicted" if sentence == BAD else "supported" for sentence in numbered(body)]
    return json.dumps({"verdicts": verdicts})


def judge(run: Path, script: ModuleType, model: FakeModel, *more: str) -> dict[str, Any]:
    with served(model) as url:
        command = [f"--run={run}", "--model=grpo", "--judge=other", f"--url={url}", "--resamples=100", *more]
        script.main(command)
    return json.loads((run / "judge" / "grpo" / "judge.json").read_text())


def test_the_checker_finds_the_bad_sentence_only() -> None:
    assert [fault.sentence for fault in check_text(f"{GOOD} {BAD} {CITED}", case(0), BOOK, TREE)] == [BAD]


def test_a_fair_judge_agrees_with_the_checker(run: Path, script: ModuleType, capsys: pytest.CaptureFixture) -> None:
    model = FakeModel(fair)
    found = judge(run, script, model)
    assert found["sentences"] == 10 and found["invalid"] == 1 and found["unusable"] == {}
    metrics = found["metrics"]
    assert metrics["kappa_with_checker"]["value"] == 1 and metrics["alpha_of_votes"]["value"] == 1
    # 8 of 10 sentences, and the invalid answer as one that nothing supports
    assert (
        metrics["supported_sentence_rate"]["value"]
        == metrics["grounded_sentence_rate"]["value"]
        == pytest.approx(8 / 11, abs=1e-6)
    )
    assert metrics["contradicted_sentence_rate"]["value"] == pytest.approx(2 / 11, abs=1e-6)
    assert metrics["supported_sentence_rate"]["n"] == 6 and metrics["kappa_with_checker"]["n"] == 5
    assert found["confusion"]["not grounded"]["contradicted"] == 2
    assert "agree with kappa 1.00" in capsys.readouterr().out
    assert model.calls == 3 * 5 and {body["seed"] for body in model.bodies} == {17, 18, 19}
    rows = list(read_jsonl(run / "judge" / "grpo" / "verdicts.jsonl"))
    assert [sentence["verdict"] for sentence in rows[0]["sentences"]] == ["supported", "contradicted"]
    outcomes = read_outcomes(run / "predictions" / "grpo", TREE)
    read = rationale.readings(outcomes, {f"c{n:02}": case(n) for n in range(len(THINKING))}, BOOK, TREE)
    counts = [sum(getattr(reading, name) for reading in read.values()) for name in ("grounded", "sentences")]
    assert counts == [8, 11]  # as eval/score.py counts
    before = digests(run / "judge")
    again = FakeModel(fair)
    assert judge(run, script, again) == found and again.calls == 0 and digests(run / "judge") == before


def test_the_judge_sees_annotations_label_and_passages_but_no_verdict_of_ours(run: Path, script: ModuleType) -> None:
    model = FakeModel(fair)
    judge(run, script, model, "--limit=2")
    text = model.bodies[-1]["messages"][-1]["content"][0]["text"]
    for words in ("Diagnosis: common nevus", "Signs present: papule, brown colour", "absent: scale"):
        assert words in text
    cited = next(body for body in model.bodies if len(numbered(body)) == 2 and CITED in numbered(body))
    passage = BOOK.passages["primer:common-nevus#morphology"].text
    assert passage in cited["messages"][-1]["content"][0]["text"]
    assert len(model.bodies[0]["messages"][-1]["content"]) == 1  # no picture


def test_the_form_is_forced_unless_the_endpoint_cannot(run: Path, script: ModuleType) -> None:
    model = FakeModel(fair)
    judge(run, script, model, "--limit=1")
    schema = model.bodies[0]["response_format"]["json_schema"]["schema"]
    jsonschema.validate(json.loads(fair(model.bodies[0])), schema)
    for wrong in ({"verdicts": ["supported"]}, {"verdicts": ["supported", "maybe"]}, {"verdicts": [], "why": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
    judge(run, script, model, "--limit=1", "--structured=false")
    assert "response_format" not in model.bodies[-1]


def test_votes_that_are_none_stay_in_the_denominator(run: Path, script: ModuleType) -> None:
    def wavers(body: dict[str, Any]) -> str:
        words = {17: "supported", 18: "unsupported"}.get(body["seed"])
        return json.dumps({"verdicts": [words] * len(numbered(body))}) if words else "I would say yes."

    found = judge(run, script, FakeModel(wavers))
    assert found["unusable"] == {"no verdict": 5}
    assert found["metrics"]["no_verdict_sentence_rate"]["value"] == pytest.approx(10 / 11, abs=1e-6)
    assert found["metrics"]["supported_sentence_rate"]["value"] == 0
    assert found["metrics"]["kappa_with_checker"]["value"] == 0
    assert found["metrics"]["alpha_of_votes"]["value"] < 0
    assert found["confusion"]["grounded"] == {"supported": 0, "contradicted": 0, "unsupported": 0, "no verdict": 8}


@pytest.mark.parametrize(
    "said",
    [
        '{"verdicts": ["supported"]}',  # too few
        '{"verdicts": ["supported", "maybe"]}',
        '{"verdicts": ["supported", "supported"], "why": ""}',
        '```json\n{"verdicts": ["supported", "supported"]}\n```',
        '{"verdicts": "supported"}',
        '{"verdicts": [["supported"], "supported"]}',
    ],
)
def test_only_a_list_of_verdicts_is_read(run: Path, script: ModuleType, said: str) -> None:
    found = judge(run, script, FakeModel(lambda body: said), "--limit=1", "--votes=1")
    assert found["unusable"] == {"no verdict": 1}


def test_a_refused_request_is_counted(run: Path, script: ModuleType) -> None:
    found = judge(run, script, FakeModel(fair, faults=[error(400, "too long")]), "--limit=1")
    assert found["unusable"] == {"refused": 3} and found["metrics"]["supported_sentence_rate"]["value"] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--votes=2", "votes are not an odd number"),
        ("--temperature=0", "votes at temperature 0"),
        ("--judge=grpo", "a model cannot judge itself"),
        ("--concurrency=0", "concurrency is under 1"),
    ],
)
def test_bad_settings_are_one_line(run: Path, script: ModuleType, more: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        script.main([f"--run={run}", "--model=grpo", "--judge=other", more])
