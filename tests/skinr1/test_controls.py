"""Negative controls as functions: exchanged pictures, answers without a picture, rows, words."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinr1.cases import Case, Role
from skinr1.controls import blind
from skinr1.controls.exchange import exchanged, without_images
from skinr1.controls.rows import rows
from skinr1.controls.words import METADATA, MISLED, NO_IMAGE, NOT_SHOWN, PROBE, SHUFFLED, UNKNOWN, USES, verdict, words
from skinr1.errors import UserError
from tests.skinr1.outcome_rows import BCC, BLUE, ECZEMA, MELANOMA, NEVUS, row, seen


def case(number, patient, node=NEVUS, **more):
    given = {"case_id": f"c{number:03}", "source": "s", "images": (f"{number}.png",), "role": Role.SPARSE}
    return Case(**given, diagnoses=(node,), patient_id=patient, licence="CC0", **more)


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 5))
def test_nobody_keeps_a_picture_of_the_same_patient_and_every_picture_is_used_once(patients, seed):
    cases = [case(number, f"p{patient}") for number, patient in enumerate(patients)]
    owner = {c.images[0]: c.group for c in cases}
    if 2 * max(Counter(patients).values(), default=0) > len(patients):
        with pytest.raises(UserError, match="more than half"):
            exchanged(cases, seed)
        return
    made = exchanged(cases, seed)
    assert [c.model_copy(update={"images": o.images}) for c, o in zip(made, cases, strict=True)] == cases
    assert sorted(c.images for c in made) == sorted(c.images for c in cases)
    assert all(owner[c.images[0]] != c.group for c in made)
    backwards = exchanged(cases[::-1], seed)
    assert sorted(backwards, key=lambda c: c.case_id) == sorted(made, key=lambda c: c.case_id)


def test_another_seed_is_another_exchange():
    cases = [case(number, f"p{number}") for number in range(30)]
    assert exchanged(cases, 1) != exchanged(cases, 2)
    assert all(not c.images for c in without_images(cases)) and cases[0].images


TRAIN = [case(n, f"p{n}", NEVUS if n % 4 else BCC, age=30 if n % 4 else 80, sex="male") for n in range(40)]


def test_the_prior_counts_training_labels():
    assert blind.prior(TRAIN) == [(NEVUS, 0.75), (BCC, 0.25)]
    assert blind.prior([case(0, "a", NEVUS), case(1, "b", BLUE)]) == [(BLUE, 0.5), (NEVUS, 0.5)]  # ties: smaller id
    assert blind.majority(TRAIN, TRAIN[:3]) == [[(NEVUS, 0.75), (BCC, 0.25)]] * 3


def test_draws_have_the_training_frequencies_whatever_the_order():
    tested = [case(n, f"q{n}") for n in range(2000)]
    drawn = blind.drawn(TRAIN, tested, 3)
    share = Counter(ranked[0][0] for ranked in drawn)[BCC] / 2000
    assert share == pytest.approx(0.25, abs=0.03)  # three standard errors
    assert blind.drawn(TRAIN, tested[::-1], 3) == drawn[::-1]
    assert blind.drawn(TRAIN, tested, 4) != drawn


def test_metadata_are_learned_and_an_unknown_age_is_no_age_of_zero():
    tested = [case(100, "x", age=81, sex="male"), case(101, "y", age=29, sex="male"), case(102, "z")]
    old, young, unknown = blind.metadata(TRAIN, tested, 0)
    assert old[0][0] == BCC and young[0][0] == NEVUS and sum(share for _, share in unknown) == pytest.approx(1)
    assert blind.told(tested[2])["decade"] == "unknown" != blind.told(case(103, "w", age=0))["decade"]


def test_the_label_is_not_among_what_is_told():
    known, other = case(0, "p", NEVUS, label="nevus"), case(0, "p", BCC, label="bcc")
    assert blind.told(known) == blind.told(other)


def answered(said):
    truths = [NEVUS, MELANOMA, ECZEMA, BCC] * 10
    return seen([row(n, t, s, patient=f"p{n // 2}") for n, (t, s) in enumerate(zip(truths, said, strict=True))])


RIGHT = [NEVUS, MELANOMA, ECZEMA, BCC] * 10
WRONG = RIGHT[1:] + RIGHT[:1]
HALF = [truth if n % 8 < 4 else WRONG[n] for n, truth in enumerate(RIGHT)]


def unwatched(things, description):
    return things


def controls(own, **said):
    names = {"shuffled": SHUFFLED, "none": NO_IMAGE, "metadata": METADATA, "probe": PROBE}
    return rows(answered(own), {names[key]: answered(value) for key, value in said.items()}, unwatched, 200)


@pytest.mark.parametrize(
    ("own", "shuffled", "found"),
    [(RIGHT, WRONG, USES), (HALF, HALF, NOT_SHOWN), (WRONG, RIGHT, MISLED), (RIGHT, HALF, USES)],
)
def test_the_verdict_is_the_models_difference_to_itself_with_other_pictures(own, shuffled, found):
    made = controls(own, shuffled=shuffled)
    assert verdict(made) == found
    begins = {USES: "The model uses the image", NOT_SHOWN: "No use of the image", MISLED: "The right image misleads"}
    assert words(made)[0].startswith(begins[found])


def test_rows_carry_the_paired_difference_and_how_often_the_diagnosis_stays():
    own, control = controls(RIGHT, shuffled=HALF)
    assert own["name"] == "model" and "model_minus" not in own
    assert own["top1"]["value"] == 1 and control["top1"]["value"] == 0.5
    assert control["model_minus"]["top1"]["value"] == 0.5 and control["beside"]["same_diagnosis"]["value"] == 0.5
    assert all({"value", "low", "high", "n"} <= control[name].keys() for name in own if name != "name")


def test_invalid_answers_count_as_wrong_and_are_told():
    own, control = controls(RIGHT, none=[None] * 40)
    assert control["top1"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(0.16, abs=0.01), "n": 40,
                               "method": "wilson"}  # fmt: skip
    assert control["beside"]["same_diagnosis"]["value"] == 0
    assert "this says little" in " ".join(words([own, control]))


def test_not_asked_is_not_known_and_no_better_than_metadata_is_said():
    made = controls(HALF, metadata=HALF, probe=RIGHT)
    told = " ".join(words(made))
    assert verdict(made) == UNKNOWN and "not known: it was not asked" in told
    assert "not shown to differ from that of metadata only" in told and "The vision tower holds more" in told


def test_a_control_on_other_cases_is_refused():
    with pytest.raises(UserError, match="only one of the two"):
        rows(answered(RIGHT), {SHUFFLED: seen([row(0, NEVUS, NEVUS)])}, unwatched)
