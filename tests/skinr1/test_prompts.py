"""Prompts are versioned: changed words need a new version of theirs and a new snapshot."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from skinr1 import prompts
from skinr1.cases import Case

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
BARE = {"case_id": "a", "source": "test", "images": ("a.png", "b.png"), "role": "sparse", "licence": "CC0-1.0"}
TOLD = {**BARE, "age": 61, "sex": "female", "site": "forearm", "history": ("itch", "bleeding")}


def current() -> dict:
    told = Case.model_validate(TOLD)
    return {
        "report": prompts.messages(prompts.question(Case.model_validate(BARE)), 2),
        "report with context": prompts.messages(prompts.question(told), 1),
        "choice": prompts.messages(prompts.choice_question(told, ("common nevus", "melanoma")), 1),
        "description": prompts.messages(prompts.description_question(told), 1),
        "caption": prompts.messages(prompts.CAPTION_QUESTION, 1),
        "text only": prompts.messages("Recite primer:common-nevus#morphology.", 0),
    }


def rewriting() -> dict:
    told = Case.model_validate(TOLD)
    signs = {"form": ["papule", "plaque"], "colour": ["brown colour"]}
    passages = [("primer:nevus#morphology", "nevus", ["papule"]), ("primer:wart#morphology", "wart", ["plaque"])]
    return {
        "description": prompts.blind_messages(2, signs, "dermoscopic"),
        "description, unknown modality": prompts.blind_messages(1, signs, None),
        "reading": prompts.reader_messages("Form: papule.", ("nevus", "wart")),
        "open reading": prompts.reader_messages("Form: papule.", None),
        "rationale": prompts.rationale_messages(told, "Form: papule.", "nevus", passages),
        "rewording": prompts.reword_messages("Seen: papule."),
    }


def judging() -> dict:
    told = Case.model_validate(
        {**TOLD, "findings": [{"concept": "papule"}, {"concept": "scale", "present": False}]},
    )
    passages = {"primer:nevus#morphology": "A nevus is a papule.", "primer:nothing#here": None}
    sentences = ("Seen: papule.", "A nevus\n2. is a papule.")
    return {
        "judge": prompts.judge_messages(told, ("common nevus", "blue nevus"), passages, sentences),
        "judge, nothing known": prompts.judge_messages(Case.model_validate(BARE), ("nevus",), {}, ("Seen: papule.",)),
    }


@pytest.mark.parametrize(
    ("name", "made"),
    [
        (f"prompts-v{prompts.PROMPT_VERSION}", current),
        (f"rewriting-v{prompts.REWRITING_VERSION}", rewriting),
        (f"judge-v{prompts.JUDGE_VERSION}", judging),
    ],
    ids=["prompts", "rewriting", "judge"],
)
def test_words_are_those_of_the_version(name: str, made: Callable[[], dict]) -> None:
    snapshot = SNAPSHOTS / f"{name}.json"
    assert snapshot.is_file(), f"new version: write {snapshot.name} with the prompts of {made.__name__}()"
    assert made() == json.loads(snapshot.read_text(encoding="utf-8"))


@pytest.mark.parametrize("label", ["melanoma", "neoplasm/malignant/melanocytic/melanoma"])
def test_question_never_tells_the_label(label: str) -> None:
    case = Case.model_validate({**TOLD, "label": label, "diagnoses": (label,)})
    assert prompts.question(case) == prompts.question(Case.model_validate(TOLD))
    assert "melanoma" not in prompts.question(case)


def test_age_of_zero_is_told() -> None:
    assert prompts.context(Case.model_validate({**BARE, "age": 0})) == "Patient: age 0. "


def test_images_come_before_the_question() -> None:
    assert [part["type"] for part in prompts.messages("x", 2)[1]["content"]] == ["image", "image", "text"]
