"""No trick earns more than the honest answer it imitates, and none raises."""

import pytest

from skinr1.report import InvalidAnswer, parse
from skinr1.rewards import PRESETS, REWARDS, Context, Truth, reward_functions
from skinr1.taxonomy import Bucket, Taxonomy
from tests.recipes.runs import MELANOMA
from tests.skinr1 import hacks

CONTEXT = Context(Taxonomy.load(), hacks.PASSAGES)
TRICKS = list(hacks.hacks())


def earned(text: str, preset: str) -> float:
    """What TRL would hand the trainer."""
    functions, weights = reward_functions(preset, CONTEXT)
    columns = {"diagnoses": [[MELANOMA]], "condition": ["malignant"], "findings": [["papule", "brown colour"]]}
    return sum(w * f(completions=[text], **columns)[0] for f, w in zip(functions, weights, strict=True))


def test_there_are_enough_and_they_differ():
    assert len({name for name, _, _ in TRICKS}) == len(TRICKS) >= 60
    assert all(trick != honest for _, trick, honest in TRICKS)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("name", "trick", "honest"), TRICKS, ids=[name for name, _, _ in TRICKS])
def test_no_trick_earns_more(preset: str, name: str, trick: str, honest: str):
    if preset == "skin_r1" and name.startswith("a nevus called malignant"):
        pytest.skip("the published reward pays for the condition whatever the diagnosis")
    assert earned(trick, preset) <= earned(honest, preset) + 1e-12


def test_the_honest_answers_are_good():
    for base, best in ((hacks.RIGHT, True), (hacks.WRONG, False), (hacks.NEAR, False)):
        answer = parse(hacks.text(*base), CONTEXT.taxonomy)
        truth = Truth((MELANOMA,), Bucket.MALIGNANT)
        assert (REWARDS["exact"](answer, truth, CONTEXT) == 1) is best
        assert REWARDS["consistency"](answer, truth, CONTEXT) == 1
        assert REWARDS["citations"](answer, truth, CONTEXT) == 1


def concluding(conclusion: str) -> float:
    """What a report of the truth earns, when that is how its reasoning ends."""
    seen = "Seen: papule, brown colour. Textbook [primer:common-nevus#morphology]."
    return earned(hacks.text(hacks.RIGHT[0], f"{seen} {conclusion}"), "safe")


@pytest.mark.parametrize(
    "conclusion",
    [
        "Certainly not in any way a superficial spreading melanoma.",
        "Superficial spreading melanoma is excluded.",
        "It isn't a superficial spreading melanoma.",
        "Ruled out: superficial spreading melanoma is not it.",
        "First a superficial spreading melanoma. Conclusion: common nevus.",
        "Conclusion: common nevus; the rival was superficial spreading melanoma.",
        "Conclusion: common nevus. [primer:superficial-spreading-melanoma#morphology]",
        "[primer:superficial-spreading-melanoma#morphology]",
        "Superficial spreading melanoma is less likely.",
    ],
)
def test_reasoning_that_concludes_something_else_earns_less(conclusion: str):
    assert concluding(conclusion) <= earned(hacks.text(*hacks.RIGHT), "safe") - 0.2


@pytest.mark.parametrize(
    "conclusion",
    [
        "No ulcer. Superficial spreading melanoma.",
        "No doubt: superficial spreading melanoma.",
        "Without atypical features this is a superficial spreading melanoma.",
        "No scale and no crust favour superficial spreading melanoma.",
        "There is no doubt that this is a superficial spreading melanoma.",
        "A superficial spreading melanoma rather than a common nevus.",
        "Superficial spreading melanoma, although nodular melanoma was considered; urticaria is excluded.",
        "Conclusion: superficial spreading melanoma. Nodular melanoma is less likely. Biopsy, to rule out a tumour.",
    ],
)
def test_an_honest_conclusion_may_speak_of_rivals(conclusion: str):
    assert concluding(conclusion) == earned(hacks.text(*hacks.RIGHT), "safe")


@pytest.mark.parametrize("denial", ["This is not a melanoma", "Never melanoma", "A nevus rather than a melanoma"])
def test_reasoning_that_denies_the_diagnosis_earns_less(denial: str):
    body = hacks.report(hacks.GROUP, "malignant")
    honest = "Seen: papule, brown colour. Textbook [primer:common-nevus#morphology]. "
    assert earned(hacks.text(body, f"{honest}{denial}."), "safe") < earned(
        hacks.text(body, f"{honest}Conclusion: melanoma."), "safe"
    )


def test_most_tricks_are_outside_the_contract():
    """The contract catches nearly all of them; the scores have to see to the others."""
    valid = 0
    for _, trick, _ in TRICKS:
        try:
            parse(trick, CONTEXT.taxonomy)
            valid += 1
        except InvalidAnswer:
            pass
    assert 0 < valid < len(TRICKS) / 3
