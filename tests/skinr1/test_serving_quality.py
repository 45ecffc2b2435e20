"""The gate refuses what shows nothing, and refuses every skin tone alike."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from data_builders.rendered import render
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.serving.quality import QualityPolicy, assess, gate, measure

SIGNS = ("plaque", "erythema", "scale")


def lesion(tone: int = 3, seed: int = 1, size: int = 224) -> Image.Image:
    return render(SIGNS, tone, "clinical", seed, size)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8))


def page() -> Image.Image:
    image = Image.new("RGB", (400, 400), "white")
    for line in range(18):
        ImageDraw.Draw(image).text(
            (10, 20 * line), "Psoriasis is a chronic disease of the skin with scales", fill="black"
        )
    return image


REFUSED = {
    "too_small": lesion(size=80),
    "too_dark": ImageEnhance.Brightness(lesion()).enhance(0.08),
    "overexposed": page(),
    "blurred": lesion().filter(ImageFilter.GaussianBlur(8)),
    "no_photograph": noise(),
    "no_skin": lesion().convert("L").convert("RGB"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_shows_nothing_is_refused_with_its_reason(code: str) -> None:
    found = assess(measure(REFUSED[code])).refusal
    assert found is not None and found.code == code


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (224, 172, 140), (40, 90, 200)])
def test_one_colour_is_refused(colour: tuple[int, int, int]) -> None:
    assert assess(measure(Image.new("RGB", (300, 300), colour))).refusal is not None


@pytest.mark.parametrize("tone", range(1, 7))
def test_no_tone_is_refused(tone: int) -> None:
    refused = [assess(measure(lesion(tone, seed))).refusal for seed in range(8)]
    assert refused == [None] * 8


@pytest.mark.parametrize("light", [0.35, 0.6])
def test_sharpness_does_not_depend_on_brightness(light: float) -> None:
    image = lesion()
    dark = ImageEnhance.Brightness(image).enhance(light)
    assert measure(dark).sharpness == pytest.approx(measure(image).sharpness, rel=0.2)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        pytest.param(lesion(size=128), "small", id="small"),
        pytest.param(ImageEnhance.Brightness(lesion()).enhance(0.22), "dark", id="dark"),
    ],
)
def test_doubtful_images_pass_with_a_limitation(image: Image.Image, code: str) -> None:
    found = assess(measure(image))
    assert found.refusal is None and code in [line.code for line in found.limitations]


def test_a_case_goes_on_with_its_usable_images() -> None:
    found = gate([measure(noise()), measure(lesion())])
    assert (found.usable, found.refused) == ((1,), None)
    assert [(line.code, line.image) for line in found.limitations] == [("no_photograph", 0)]
    assert found.limitations[0].text.startswith("Image 1 is not a photograph")


def test_a_case_without_a_usable_image_is_refused_in_words() -> None:
    found = gate([measure(noise()), measure(page())])
    assert found.usable == () and found.refused is not None
    assert "Image 1" in found.refused and "Image 2" in found.refused and "\n" not in found.refused


@pytest.mark.parametrize("image", [Image.new("RGB", (1, 1)), Image.new("RGB", (28, 560)), Image.new("L", (300, 300))])
def test_any_picture_has_finite_statistics(image: Image.Image) -> None:
    assert np.isfinite(list(vars(measure(image)).values())).all()


def test_bound_of_refusal_that_is_milder_is_refused() -> None:
    with pytest.raises(UserError, match="milder"):
        QualityPolicy(sharpness_refused=10.0)


@pytest.mark.real_data
def test_real_photographs_are_not_refused(shared_data: Path) -> None:
    files = [*sorted((shared_data / "pad_ufes_20/images").iterdir())[::16]]
    files += sorted((shared_data / "isic_uda1/images").iterdir())[::40]
    refused = [path.name for path in files if assess(measure(load_image(path))).refusal]
    assert refused == []
