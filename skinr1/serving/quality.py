"""The gate in front of the model: focus, exposure, size, skin share -> limitations, or an explicit refusal.

Statistics of pixels, not a network: they say whether a picture can be read, never what is on it. Sharpness is taken
relative to brightness, because the same texture has a hundredth of the variance on skin a tenth as bright: an absolute
floor would refuse dark skin first. Where the thresholds come from, and what they cost: docs/report_safety.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from skinr1.errors import UserError
from skinr1.report import DISCLAIMER, SCHEMA_VERSION, Report
from skinr1.serving.envelope import Limitation

WORKING_SIDE = 256  # the shorter side is brought down to this, so that one threshold serves all sizes
BLACK = 25  # grey level up to which a pixel is lens border or deep shadow
WHITE = 250  # level that all three channels exceed in a blown-out pixel


@dataclass(frozen=True)
class Statistics:
    """What is measured of one picture.

    Attributes:
        side: the shorter side of the file, in pixels.
        sharpness: variance of the Laplacian over squared mean grey, times 10,000 (Pech-Pacheco et al. 2000).
        edges: Tenengrad, the mean squared Sobel gradient, over squared mean grey, times 100 (Krotkov 1987).
        highlight: 99th percentile of grey, 0 to 255.
        blown: share of pixels that are white in all channels.
        smoothness: correlation of neighbouring pixels; near 0 is noise.
        flatness: share of pixels, black ones apart, that equal their right neighbour: paper and screens are flat.
        skin: share of pixels of a hue and chroma that human skin of any tone has under white light.
    """

    side: int
    sharpness: float
    edges: float
    highlight: float
    blown: float
    smoothness: float
    flatness: float
    skin: float


@dataclass(frozen=True)
class QualityPolicy:
    """Bounds: beyond ``…_refused`` there is no report, beyond the other one it has a limitation.

    Set on PAD-UFES-20 (smartphone, 319) and ISIC UDA-1 (dermoscopy, 557) so that none of these is refused, and on
    blurred, darkened and lightened copies; rendered tones I to VI must be refused alike. `benchmarks/quality.py`
    prints the rates.
    """

    side_refused: int = 96
    side: int = 200
    sharpness_refused: float = 3.0
    sharpness: float = 8.0
    edges_refused: float = 0.3
    edges: float = 1.0
    highlight_refused: float = 30.0
    highlight: float = 55.0
    blown_refused: float = 0.6
    blown: float = 0.2
    smoothness_refused: float = 0.3
    flatness_refused: float = 0.6
    skin_refused: float = 0.01
    skin: float = 0.15

    def __post_init__(self) -> None:
        worse = [
            name
            for name in ("side", "sharpness", "edges", "highlight", "skin")
            if getattr(self, f"{name}_refused") > getattr(self, name)
        ]
        if worse or self.blown_refused < self.blown:
            raise UserError(
                "bound of refusal is milder than that of a limitation", ", ".join(worse) or "blown", "Correct it."
            )


@dataclass(frozen=True)
class Assessment:
    """One picture's verdict. ``refusal`` is None where it may be shown to a model."""

    refusal: Limitation | None
    limitations: tuple[Limitation, ...]


@dataclass(frozen=True)
class Gate:
    """A case's verdict.

    Attributes:
        usable: positions of the images a model may see, from 0.
        refused: why there is no report, one line; None when at least one image is usable.
        limitations: of all images; those left out are among them.
    """

    usable: tuple[int, ...]
    refused: str | None
    limitations: tuple[Limitation, ...]


def measure(image: Image.Image) -> Statistics:
    """Statistics of an upright RGB picture, before it is fitted to a model's budget. About 20 ms."""
    side = min(image.size)
    if side > WORKING_SIDE:
        scale = WORKING_SIDE / side
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    colour = np.asarray(image.convert("RGB"))
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    gain = max(float(grey.mean()), 1.0) ** 2
    gradient = ndimage.sobel(grey, axis=0) ** 2 + ndimage.sobel(grey, axis=1) ** 2
    return Statistics(
        side=side,
        sharpness=float(ndimage.laplace(grey).var()) / gain * 1e4,
        edges=float(gradient.mean()) / gain * 100,
        highlight=float(np.percentile(grey, 99)),
        blown=float((colour.min(axis=2) > WHITE).mean()),
        smoothness=_smoothness(grey),
        flatness=_flatness(colour, grey),
        skin=_skin_share(colour),
    )


def _smoothness(grey: np.ndarray) -> float:
    left, right = grey[:, :-1].ravel(), grey[:, 1:].ravel()
    if left.size < 2 or left.std() == 0 or right.std() == 0:
        return 1.0
    return float(np.corrcoef(left, right)[0, 1])


def _flatness(colour: np.ndarray, grey: np.ndarray) -> float:
    seen = grey[:, :-1] > BLACK
    same = (colour[:, :-1] == colour[:, 1:]).all(axis=2)
    return float(same[seen].mean()) if seen.any() else 0.0


def _skin_share(colour: np.ndarray) -> float:
    """Hue -40 to 100 degrees and chroma 3 to 60 in CIELAB (D65): rose over brown to yellow, neither grey nor garish.

    Lightness is not asked for, apart from black, so that no tone is left out.
    """
    lightness, a, b = np.moveaxis(_cielab(colour), 2, 0)
    hue, chroma = np.degrees(np.arctan2(b, a)), np.hypot(a, b)
    return float(((hue > -40) & (hue < 100) & (chroma > 3) & (chroma < 60) & (lightness > 6)).mean())


def _cielab(colour: np.ndarray) -> np.ndarray:
    """sRGB 0..255 to CIELAB under D65 (IEC 61966-2-1, CIE 15)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)[colour]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, 2, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=2)


def assess(found: Statistics, policy: QualityPolicy | None = None, image: int | None = None) -> Assessment:
    """Verdict on one picture; the first refusal in the order size, light, focus, photograph, skin is the one told."""
    p = policy or QualityPolicy()
    refusals = (
        (
            found.side < p.side_refused,
            "too_small",
            f"is too small to judge ({found.side} px); at least {p.side_refused} px",
        ),
        (found.highlight < p.highlight_refused, "too_dark", "is too dark to judge; please use more light"),
        (found.blown > p.blown_refused, "overexposed", "is mostly blown out to white; please avoid flash and glare"),
        (
            found.sharpness < p.sharpness_refused or found.edges < p.edges_refused,
            "blurred",
            "is blurred or empty; please focus on the skin and hold still",
        ),
        (
            found.smoothness < p.smoothness_refused or found.flatness > p.flatness_refused,
            "no_photograph",
            "is not a photograph (noise, a drawing, a screen or a page)",
        ),
        (
            found.skin < p.skin_refused,
            "no_skin",
            "shows no skin in colour; please give a colour photograph of skin",
        ),
    )
    doubts = (
        (found.side < p.side, "small", f"is small ({found.side} px): fine structures are lost"),
        (found.highlight < p.highlight, "dark", "is dark: colours are unreliable"),
        (found.blown > p.blown, "glare", f"is blown out to white on {found.blown:.0%} of its area"),
        (found.sharpness < p.sharpness or found.edges < p.edges, "soft", "is not sharp: fine structures are lost"),
        (
            found.skin < p.skin,
            "little_skin",
            f"has skin colours on {found.skin:.0%} of its area only: it may be out of scope",
        ),
    )
    refusal = next((_limitation(code, text, image) for true, code, text in refusals if true), None)
    limitations = tuple(_limitation(code, text, image) for true, code, text in doubts if true)
    return Assessment(refusal, () if refusal else limitations)


def _limitation(code: str, text: str, image: int | None) -> Limitation:
    return Limitation(code=code, text=f"{'The image' if image is None else f'Image {image + 1}'} {text}.", image=image)


def declining_report() -> Report:
    """The report of a case that no model was asked about: nothing is said of it but that another image is needed."""
    return Report(
        schema_version=SCHEMA_VERSION,
        findings=(),
        diagnosis=None,
        condition=None,
        differential=(),
        confidence="low",
        advice="new_image",
        citations=(),
        disclaimer=DISCLAIMER,
    )


def gate(images: Sequence[Statistics], policy: QualityPolicy | None = None) -> Gate:
    """Verdict on a case. Images beyond the floor are left out and listed; without any other one it is refused."""
    found = [assess(statistics, policy, number) for number, statistics in enumerate(images)]
    usable = tuple(number for number, one in enumerate(found) if one.refusal is None)
    refusals = [one.refusal for one in found if one.refusal]
    listed = tuple(line for one in found for line in ([one.refusal] if one.refusal else one.limitations))
    return Gate(usable, None if usable else " ".join(line.text for line in refusals), listed)
