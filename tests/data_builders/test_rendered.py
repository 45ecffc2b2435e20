"""The look follows from the signs, from nothing else, and repeats byte for byte."""

import hashlib

import numpy as np
import pytest

from data_builders.rendered import Clinic, RenderSpec, render, sample_case, sample_signs
from data_builders.rendered.body import _COLOURS
from data_builders.rendered.layout import FORMS
from data_builders.rendered.setting import SITES
from skinr1.errors import UserError

FLAT = ("patch", "sharp border")


def pixels(signs, tone=2, view="clinical", seed=3) -> np.ndarray:
    return np.asarray(render(signs, tone, view, seed), float)


def middle(image: np.ndarray, half: int = 8) -> np.ndarray:
    return image[56 - half : 56 + half, 56 - half : 56 + half].mean((0, 1))


def mean_over(signs, tone, measure, view="clinical", seeds=range(8)):
    return np.mean([measure(pixels(signs, tone, view, seed)) for seed in seeds], axis=0)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_same_seed_same_bytes_and_order_of_signs_does_not_matter():
    signs = ("plaque", "red colour", "scale", "telangiectasia", "irregular border")
    digests = {hashlib.sha256(RenderSpec(s, 3, "clinical", 9).png()).hexdigest() for s in (signs, signs[::-1])}
    assert len(digests) == 1
    assert RenderSpec(signs, 3, "clinical", 10).png() != RenderSpec(signs, 3, "clinical", 9).png()


def test_spec_survives_its_uri():
    spec = RenderSpec(("papule", "brown colour"), 4, "dermoscopic", 2**61 + 1)
    assert RenderSpec.from_uri(spec.uri()) == spec


@pytest.mark.parametrize("tone", range(1, 7))
def test_colours_differ_from_skin_and_from_each_other(tone):
    skin = mean_over(("macule",), tone, lambda image: image[:8].mean((0, 1)))
    seen = {name: mean_over((*FLAT, name), tone, middle) for name in _COLOURS if name != "skin colour"}
    for name, colour in seen.items():
        assert np.abs(colour - skin).max() > 14, f"{name} vanishes on tone {tone}"
    names = list(seen)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert np.abs(seen[a] - seen[b]).max() > 8, f"{a} looks like {b} on tone {tone}"


def test_red_is_red_and_blue_is_blue():
    red, blue = (mean_over((*FLAT, name), 2, middle) for name in ("red colour", "blue-gray colour"))
    assert red[0] - red[2] > 80 and blue[2] - blue[0] > 20


@pytest.mark.parametrize("tone", [1, 6])
def test_central_clearing_gives_the_middle_the_colour_of_skin(tone):
    ring = ("plaque", "red colour", "sharp border", "ring shape", "central clearing")
    cleared, full = (mean_over(s, tone, middle) for s in (ring, ring[:3]))
    skin = mean_over(("macule",), tone, lambda image: image[:8].mean((0, 1)))
    assert np.abs(cleared - skin).sum() < 0.5 * np.abs(full - skin).sum()


def test_white_signs_lighten_and_crust_darkens():
    plaque = ("plaque", "red colour", "sharp border")
    plain = mean_over(plaque, 3, middle)
    assert (mean_over((*plaque, "silvery scale"), 3, middle) - plain)[1:].min() > 40
    assert (mean_over((*plaque, "scale"), 3, middle) - plain)[1:].min() > 15
    crusted = mean_over((*plaque, "crust"), 3, middle)
    assert crusted[0] < plain[0] - 15
    honey = mean_over((*plaque, "honey crust"), 3, middle)
    assert honey[1] > plain[1] + 20 and honey[2] < honey[1] - 40


def lesion_share(image: np.ndarray) -> float:
    return float((image[..., 2] < 0.7 * np.median(image[..., 2])).mean())


def test_size_follows_from_form():
    small, large = (mean_over((form, "black colour"), 1, lesion_share) for form in ("macule", "patch"))
    assert 0.03 < small < 0.15 < large < 0.5


def test_relief_shows_only_in_raised_forms():
    def unevenness(image):
        return middle_rows(image).std()

    def middle_rows(image):
        return image[48:64, 48:64].mean(2)

    flat, raised = (mean_over((form, "red colour"), 2, unevenness) for form in ("patch", "nodule"))
    assert raised > 1.3 * flat


# Signs that add to a lesion: each must change a visible share of the picture, on light and on dark skin.
ADDED = {
    "clinical": (
        "scale", "silvery scale", "crust", "honey crust", "warty surface", "smooth surface", "pearly surface", "ulcer",
        "central dell", "flat top", "central scar", "ring shape", "central clearing", "grouped lesions",
        "many lesions", "linear pattern", "telangiectasia", "asymmetry", "several colours",
    ),
    "dermoscopic": (
        "red lagoons", "regular network", "irregular network", "irregular dots", "blue-white veil", "milia-like cysts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tone", [1, 6])
@pytest.mark.parametrize(("view", "sign"), [(view, sign) for view, names in ADDED.items() for sign in names])
def test_every_sign_shows(view, sign, tone):
    base = ("papule", "brown colour", "sharp border")
    with_sign, without = pixels((*base, sign), tone, view), pixels(base, tone, view)
    assert (np.abs(with_sign - without).max(2) > 14).mean() > 0.008


def test_dermoscopic_structures_are_invisible_to_the_naked_eye():
    base = ("papule", "brown colour", "sharp border")
    assert np.array_equal(pixels((*base, "regular network")), pixels(base))


def test_every_sign_of_the_clinic_has_a_look():
    drawn = {*FORMS, *_COLOURS, *ADDED["clinical"], *ADDED["dermoscopic"]}
    drawn |= {"sharp border", "blurred border", "irregular border", "raised rim"}
    assert set(Clinic.load().vocabulary("dermoscopic")) <= drawn


def test_signs_follow_the_probabilities():
    disease = Clinic.load().disease("inflammatory/papulosquamous/psoriasiform/plaque_psoriasis")
    rng = generator(0)
    drawn = [sample_signs(rng, disease, "clinical") for _ in range(2000)]
    assert abs(np.mean(["silvery scale" in s for s in drawn]) - 0.85) < 0.04
    assert all("plaque" in s for s in drawn)


def test_signs_exclude_each_other_where_they_must():
    for disease in Clinic.load().diseases:
        for view in ("clinical", "dermoscopic"):
            for seed in range(30):
                signs = sample_signs(generator(seed), disease, view)
                assert sum(s in FORMS for s in signs) == 1 and len(set(signs)) == len(signs)
                assert not {"regular network", "irregular network"} <= set(signs)
                assert view == "dermoscopic" or not set(signs) & set(ADDED["dermoscopic"])


def test_typical_cases_show_the_likely_signs():
    for disease in Clinic.load().diseases:
        signs = sample_signs(generator(1), disease, "dermoscopic", typical=True)
        # An exclusive rival (smooth against warty) may take one sign's place, never a likelier one's.
        assert {name for name, p in disease.signs if p >= 0.75} <= set(signs)


@pytest.mark.parametrize("view", ["clinical", "dermoscopic"])
@pytest.mark.parametrize("tone", [1, 6])
def test_site_and_camera_show_and_the_lesion_stays(view: str, tone: int):
    signs = ("papule", "black colour", "sharp border")

    def drawn(site: str | None, camera: str) -> np.ndarray:
        return np.asarray(render(signs, tone, view, 5, 112, site, camera), float)

    plain = drawn(None, "reference")
    for site in SITES[:3]:
        assert np.array_equal(drawn(site, "reference"), plain)
    for site, camera in [*((site, "reference") for site in SITES[3:]), (None, "phone")]:
        other = drawn(site, camera)
        assert (np.abs(other - plain).max(2) > 14).mean() > 0.008, (site, camera)
        assert middle(other).mean() < 0.8 * other[30:80, 30:80].max(), (site, camera)


def test_tone_is_stable_within_a_patient():
    nodes = [d.node for d in Clinic.load().diseases[:2]]
    visit = sample_case(generator(4), nodes)
    assert [c.diagnosis for c in visit.cases] == nodes and {c.spec.tone for c in visit.cases} == {visit.tone}


@pytest.mark.parametrize(("tone", "size"), [(0, 112), (7, 112), (3, 20)])
def test_bad_arguments(tone, size):
    with pytest.raises(UserError):
        render(("papule",), tone, "clinical", 0, size)


def test_other_sizes():
    assert render(("papule", "red colour", "telangiectasia"), 2, "clinical", 0, 224).size == (224, 224)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{form: {papule: 1}, colour: {red colour: 1}, border: {sharp border: 1}, sings: {scale: 1}}", "unknown key"),
        (
            "{form: {papule: 1}, colour: {red colour: 1}, border: {sharp border: 1}, signs: {scales: 1}}",
            "unknown concept",
        ),
        ("{form: {papule: 2}, colour: {red colour: 1}, border: {sharp border: 1}}", "0..1"),
        ("{form: {papule: 1}, colour: {red colour: 1}}", "must each have"),
    ],
)
def test_bad_specification(text, reason):
    with pytest.raises(UserError, match=reason):
        Clinic.from_yaml(f"diagnoses: {{a: {text}}}")
