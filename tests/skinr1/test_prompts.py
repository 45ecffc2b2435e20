"""Prompts are versioned: changed words need a new PROMPT_VERSION and a new snapshot."""

import json
from pathlib import Path

import pytest

from skinr1 import prompts
from skinr1.cases import Case

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / f"prompts-v{prompts.PROMPT_VERSION}.json"
BARE = {"case_id": "a", "source": "test", "images": ("a.png", "b.png"), "role": "sparse", "licence": "CC0-1.0"}
TOLD = {**BARE, "age": 61, "sex": "female", "site": "forearm", "history": ("itch", "bleeding")}


def current() -> dict:
    told = Case.model_validate(TOLD)
    return {
        "report": prompts.messages(prompts.question(Case.model_validate(BARE)), 2),
        "report with context": prompts.messages(prompts.question(told), 1),
        "description": prompts.messages(prompts.description_question(told), 1),
        "caption": prompts.messages(prompts.CAPTION_QUESTION, 1),
        "text only": prompts.messages("Recite primer:common-nevus#morphology.", 0),
    }


def test_words_are_those_of_the_version() -> None:
    assert SNAPSHOT.is_file(), f"new version: write {SNAPSHOT.name} with the prompts of current()"
    assert current() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("label", ["melanoma", "neoplasm/malignant/melanocytic/melanoma"])
def test_question_never_tells_the_label(label: str) -> None:
    case = Case.model_validate({**TOLD, "label": label, "diagnoses": (label,)})
    assert prompts.question(case) == prompts.question(Case.model_validate(TOLD))
    assert "melanoma" not in prompts.question(case)


def test_age_of_zero_is_told() -> None:
    assert prompts.context(Case.model_validate({**BARE, "age": 0})) == "Patient: age 0. "


def test_images_come_before_the_question() -> None:
    assert [part["type"] for part in prompts.messages("x", 2)[1]["content"]] == ["image", "image", "text"]
