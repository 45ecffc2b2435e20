"""eval/card.py: the card is Hugging Face's form, and says what the run's folders say."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.modelcard import Splits, obligations
from skinr1.stage import write_jsonl, write_manifest

NEVUS = "neoplasm/benign/melanocytic/common_nevus"


def write_cases(folder: Path, leak: bool = False) -> None:
    rows = []
    for number in range(6):
        patient = "p0" if leak and number in (0, 5) else f"p{number}"
        case = Case(
            case_id=f"c{number}",
            source="s",
            images=("a.png",),
            role=Role.SPARSE,
            diagnoses=(NEVUS,),
            licence="CC0",
            split="test" if number < 2 else "train",
            patient_id=patient,
        )
        rows.append(case.model_dump(mode="json"))
    write_jsonl(folder / "cases.jsonl", rows)


def build(run: Path, scripts, *more: str) -> str:
    model = run / "model"
    model.mkdir(exist_ok=True)
    adapter = {"base_model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct", "r": 4}
    (model / "adapter_config.json").write_text(json.dumps(adapter))
    licences = {"CC-BY-4.0": 40, "CC-BY-NC-SA-4.0": 7}
    write_manifest(run / "trajectories", "trajectories", config={}, licences=licences, notes=["rendered, not clinical"])
    write_manifest(model, "sft", config={}, licences={"CC-BY-4.0": 30}, seed=17, taxonomy_hash="abc")
    places = {
        "model": model,
        "cases": run / "cases2",
        "predictions": run / "predictions/sft",
        "scores": run / "scores/sft",
    }
    options = [f"--{name}={place}" for name, place in places.items()]
    stages = ["--stages", str(run / "trajectories"), str(model)]
    scripts["card"].main([*options, *stages, f"--taxonomy={run}/taxonomy.yaml", *more])
    return (model / "README.md").read_text()


def test_the_card_is_read_by_hugging_face_and_holds_the_runs_numbers(scored, scripts) -> None:
    write_cases(scored / "cases2")
    text = build(scored, scripts, "--name", "skin <b>model</b>")
    card = ModelCard(text)
    assert card.data.base_model == "Qwen/Qwen2.5-VL-7B-Instruct" and card.data.library_name == "peft"
    scores = json.loads((scored / "scores/sft/scores.json").read_text())
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found["accuracy"] == scores["metrics"]["top1"]["value"]
    assert found["hierarchical_f"] == scores["metrics"]["hierarchical_f"]["value"]
    for words in (
        "rendered, not clinical",
        "Non-commercial use only: CC-BY-NC-SA-4.0",
        "must carry the same licence: CC-BY-NC-SA-4.0",
        Splits.of(scored / "cases2").sha256,
        "No patient is in more than one split.",
        "Not known",
        "fitzpatrick 4",
        "always the most frequent class",
    ):
        assert words in text, words
    assert "<b>" not in text.split("---", 2)[2]
    assert str(scored) not in text
    assert build(scored, scripts, "--name", "skin <b>model</b>") == text


def test_a_leak_is_said_aloud(scored, scripts, capsys) -> None:
    write_cases(scored / "cases2", leak=True)
    assert "**Patients in more than one split: 1. The results" in build(scored, scripts)
    assert "warning: 1 patients" in capsys.readouterr().out


def test_the_hash_of_splits_covers_split_and_patient(tmp_path) -> None:
    write_cases(tmp_path / "a")
    write_cases(tmp_path / "b", leak=True)
    first, second = Splits.of(tmp_path / "a"), Splits.of(tmp_path / "b")
    assert first.sha256 != second.sha256 and first.cases == second.cases == {"test": 2, "train": 4}
    assert (first.straddling, second.straddling) == (0, 1)


def test_unknown_licences_count_as_no() -> None:
    assert obligations({"CC0-1.0": 3}) == ["No licence of the training data forbids commercial use."]
    assert "counts as no: LicenseRef-SCIN" in obligations({"LicenseRef-SCIN": 1})[0]
    assert "nobody can say" in obligations({})[0]


def test_missing_scores_are_one_line(scored, scripts) -> None:
    write_cases(scored / "cases2")
    with pytest.raises(UserError, match="file not found"):
        build(scored, scripts, f"--scores={scored}/nowhere")
