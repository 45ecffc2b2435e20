"""Reasoning against the textbook, and tone estimates from pixels."""

import math

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

from skinr1.knowledge import Knowledge
from skinr1.metrics import ita, rationale
from skinr1.metrics.estimate import estimates
from skinr1.metrics.outcomes import Prediction, outcome
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import trajectories
from tests.skinr1 import grounded
from tests.skinr1.outcome_rows import NEVUS, row, seen, text

TREE = Taxonomy.load()


def judged(thinking, invalid=False):
    """The reading of one reasoning about a case of the embedded textbook."""
    answer = f"<think>{thinking}</think>\n" + text(NEVUS).partition("\n")[2].replace(NEVUS, grounded.NEVUS)
    made = Prediction(case_id="c000", diagnoses=(grounded.NEVUS,), text="nothing" if invalid else answer)
    read = outcome(made, TREE)
    assert (read.answer is None) == invalid, read.invalid
    return rationale.read(read, CASE, BOOK, TREE)


BOOK = Knowledge.primer(TREE)
CASE = grounded.case(grounded.NEVUS, present=["papule", "brown colour"], absent=["scale"])


def test_a_trajectory_of_ours_is_grounded_and_its_citations_hold():
    (made,) = trajectories(CASE, BOOK, TREE, kinds=("compared",))[0][:1]
    found = judged(made.text)
    assert found.grounded == found.sentences > 2 and found.contradicting == 0
    assert found.good == found.citations > 0 and found.supported == found.needing > 0


def test_contradictions_and_inventions_are_told_apart():
    found = judged("There is a papule. There is scale. There is a crust.")
    assert (found.sentences, found.grounded, found.contradicting) == (3, 1, 1)


def test_a_passage_that_is_not_there_lowers_precision():
    found = judged("Textbook [primer:nothing#here]: common nevus shows papule.")
    assert (found.citations, found.good, found.supported) == (1, 0, 0) and "passage does not exist" in found.faults


def test_invalid_answers_stay_in_every_rate_and_never_help():
    rows = [row(0, NEVUS, NEVUS), row(1, NEVUS, None)]
    good = rationale.Reading(2, 2, 0, 1, 1, 1, 1, ())
    bad = judged("", invalid=True)
    before, after = (
        estimates(rationale.metrics(readings), seen(rows[: len(readings)]), 5)
        for readings in ({"c000": good}, {"c000": good, "c001": bad})
    )
    for metric in rationale.metrics({}):
        one, two = before[metric.name], after[metric.name]
        assert two.n == one.n + 1 and (two.value < one.value) == metric.higher, metric.name


def test_lab_of_known_colours():
    found = ita.lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], dtype=np.uint8))
    assert found == pytest.approx(np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]), abs=0.05)


def test_the_angle_does_not_flip_where_b_is_negative():
    assert ita.angle(np.array([70.0, 70.0]), np.array([20.0, -20.0])) == pytest.approx([45, 135])
    bluish = Image.new("RGB", (300, 300), (150, 160, 190))
    assert ita.estimate(bluish, "rp").ita < 0 < ita.estimate(bluish, "rp2").ita


def test_estimators_agree_on_plain_skin_and_see_no_skin_in_green():
    skin = Image.new("RGB", (300, 200), (224, 172, 140))
    lightness, _, b = ita.lab(np.array([224, 172, 140], dtype=np.uint8))
    for method in ("rp", "rp2", "groh"):
        found = ita.estimate(skin, method)
        assert found.ita == pytest.approx(math.degrees(math.atan2(lightness - 50, b)), abs=0.01) and found.pixels
    assert ita.estimate(Image.new("RGB", (50, 50), (0, 200, 0)), "groh") == ita.Estimate("groh", None, 0)


def test_the_lightest_patch_counts_and_a_hair_does_not():
    pixels = np.full((256, 256, 3), (120, 80, 60), dtype=np.uint8)
    pixels[:20, :20] = (224, 172, 140)
    light = ita.estimate(Image.fromarray(pixels), "rp2").ita
    assert light == pytest.approx(ita.estimate(Image.new("RGB", (256, 256), (224, 172, 140)), "rp2").ita, abs=1)
    hairy = np.full((256, 256, 3), (224, 172, 140), dtype=np.uint8)
    hairy[::40] = (20, 10, 10)
    assert ita.estimate(Image.fromarray(hairy), "rp2").ita == pytest.approx(light, abs=1)


@pytest.mark.parametrize(
    ("angle", "edges", "place"),
    [(56, ita.KINYANJUI, 1), (55, ita.KINYANJUI, 2), (10, ita.KINYANJUI, 6), (45, ita.GROH, 1), (-20, ita.GROH, 6)],
)
def test_bins(angle, edges, place):
    assert ita.bin_of(angle, edges) == place


def test_agreement_matrix_against_sklearn():
    draw = np.random.default_rng(0)
    a = draw.integers(1, 7, 60)
    b = np.clip(a + draw.integers(-1, 3, 60), 1, 6)
    (found,) = ita.agreement({"rp2": [*a.tolist(), 3], "groh": [*b.tolist(), None]})
    assert (found["n"], found["left_out"]) == (60, 1)
    assert found["kappa"] == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    assert found["exact"] == pytest.approx((a == b).mean()) and found["within_one"] < 1
    assert ita.agreement({"rp": [None], "groh": [1]})[0]["kappa"] is None


def test_summary_keeps_the_methods_apart():
    skin, green = (Image.new("RGB", (64, 64), colour) for colour in ((224, 172, 140), (0, 200, 0)))
    estimates = [ita.estimates(image) for image in (skin, skin, green)]
    assert estimates[0] == {method: ita.estimate(skin, method) for method in ita.METHODS}
    found = ita.summary(estimates, unreadable=2)
    assert (found["images"], found["unreadable"]) == (3, 2)
    assert [of["n"] for of in found["methods"].values()] == [3, 3, 2]
    place = ita.bin_of(estimates[0]["groh"].ita)
    assert found["methods"]["groh"]["bins"] == [2 * (place == number) for number in range(1, 7)]
    assert [row["left_out"] for row in found["agreement"]] == [0, 1, 1] and found["agreement"][1]["exact"] == 1
    assert ita.summary([ita.estimates(green)])["methods"]["groh"] == {"n": 0, "quartiles": None, "bins": [0] * 6}
