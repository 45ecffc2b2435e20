"""The gate in front of the model: what passes, what is limited, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from data_builders.rendered import Clinic, sample_case
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.serving.quality import QualitySettings, gate, judge, measure

SETTINGS = QualitySettings()
CLINIC = Clinic.load()


def rendered(tone: int, number: int, size: int = 224) -> Image.Image:
    node = CLINIC.diseases[number % len(CLINIC.diseases)].node
    draw = np.random.default_rng([tone, number])
    return sample_case(draw, [node], clinic=CLINIC, tones=(tone,), size=size).cases[0].spec.image()


def codes(image: Image.Image) -> tuple[set[str], bool]:
    limitations, refused = judge(measure(image), SETTINGS)
    return {limitation.code for limitation in limitations}, refused is not None


@pytest.mark.parametrize("tone", range(1, 7))
def test_skin_of_every_tone_passes(tone: int):
    """The gate must not be harder on dark skin."""
    refused = [gate([rendered(tone, number)], SETTINGS)[1] for number in range(12)]
    assert refused == [None] * 12


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda image: image.point(lambda v: v * 0.08), "too_dark"),
        (lambda image: image.point(lambda v: min(255, v * 3 + 120)), "too_bright"),
        (lambda image: image.filter(ImageFilter.GaussianBlur(9)), "blurred"),
        (lambda image: image.resize((20, 20)), "too_small"),
        (lambda image: image.convert("L").convert("RGB"), "little_skin"),
    ],
)
def test_spoilt_pictures_are_refused_with_the_reason(spoil, code):
    found, refused = codes(spoil(rendered(3, 1)))
    assert code in found
    assert refused


@pytest.mark.parametrize("make", ["noise", "blue", "black", "white"])
def test_what_is_no_skin_is_refused(make: str):
    pixels = {
        "noise": np.random.default_rng(0).integers(0, 256, (200, 200, 3)),
        "blue": np.full((200, 200, 3), (110, 160, 220)),
        "black": np.zeros((200, 200, 3)),
        "white": np.full((200, 200, 3), 255),
    }[make]
    assert codes(Image.fromarray(pixels.astype(np.uint8)))[1]


def test_one_unfit_image_asks_for_another_and_all_limitations_name_theirs():
    good, bad = rendered(2, 1), rendered(2, 2).resize((60, 60))
    limitations, refused = gate([good, bad], SETTINGS)
    assert refused is None
    assert {(found.code, found.image) for found in limitations} >= {("too_small", 1)}
    assert gate([good, Image.new("RGB", (90, 90))], SETTINGS)[1].startswith("image 2 cannot be judged")


def test_a_negative_threshold_is_one_line():
    with pytest.raises(UserError, match="refuse_skin"):
        QualitySettings(refuse_skin=-1)


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "most"), [("pad_ufes_20", 0.01), ("isic_uda1", 0.01)])
def test_photographs_are_hardly_ever_refused(shared_data: Path, folder: str, most: float):
    paths = sorted((shared_data / folder / "images").iterdir())[::4]
    refused = [path.name for path in paths if gate([load_image(path)], SETTINGS)[1]]
    assert len(refused) <= most * len(paths), refused
