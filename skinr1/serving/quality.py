"""Is this picture fit to be judged? Cheap statistics before the model, limitations and refusals by threshold.

The measures are those of docs/report_safety.md; focus is relative to brightness, so that dark skin is not taken for a
blurred picture. Nothing here recognises disease, and wood passes for skin: it keeps out pages, screens, noise and
pictures that nobody could judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from skinr1.errors import UserError
from skinr1.serving.envelope import Limitation

SIDE = 256  # pixels of the shorter side that statistics are taken at
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class QualitySettings:
    """Thresholds. A picture beyond a ``refuse`` is not judged, beyond a ``warn`` is judged with a limitation.

    Set on the photographs of PAD-UFES-20 (319) and ISIC UDA-1 (557) and on spoilt copies of them; see
    ``benchmarks/quality.py`` for what they let pass.
    """

    warn_side: int = field(default=100, metadata={"help": "Pixels of the shorter side."})
    refuse_side: int = field(default=28, metadata={"help": "One visual token is 28 pixels."})
    warn_focus: float = field(default=4.0, metadata={"help": "Variance of the Laplacian over squared brightness."})
    refuse_focus: float = field(default=1.0, metadata={"help": "The same."})
    refuse_texture: float = field(default=8000.0, metadata={"help": "The same, from above: noise is no photograph."})
    warn_dark: float = field(default=0.2, metadata={"help": "Brightness that 95 % of the pixels stay under."})
    refuse_dark: float = field(default=0.15, metadata={"help": "The same."})
    warn_bright: float = field(default=0.3, metadata={"help": "Share of burnt-out pixels."})
    refuse_bright: float = field(default=0.6, metadata={"help": "The same."})
    warn_skin: float = field(default=0.15, metadata={"help": "Share of pixels of a colour that skin can have."})
    refuse_skin: float = field(default=0.03, metadata={"help": "The same."})

    def __post_init__(self) -> None:
        for what in fields(self):
            if getattr(self, what.name) < 0:
                raise UserError(f"{what.name} is under 0", str(getattr(self, what.name)), "Give 0 or more.")


@dataclass(frozen=True)
class Quality:
    """Statistics of one picture.

    Attributes:
        side: pixels of the shorter side.
        focus: variance of the Laplacian of the brightness, over the squared mean brightness, times 10,000.
        tenengrad: mean squared Sobel gradient, over the squared mean brightness, times 100.
        highlights: 95th percentile of the brightness, 0 to 1.
        burnt: share of pixels brighter than 0.97.
        skin: share of pixels of a colour that skin of any tone can have: more red than blue, not grey.
    """

    side: int
    focus: float
    tenengrad: float
    highlights: float
    burnt: float
    skin: float


def measure(image: Image.Image) -> Quality:
    """Statistics of an RGB image, at a shorter side of :data:`SIDE` pixels."""
    width, height = image.size
    scale = SIDE / min(width, height)
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), method)
    pixels = np.asarray(small, dtype=np.float32) / np.float32(255)
    light = pixels @ LUMA
    squared = max(float(light.mean()) ** 2, 1e-4)
    slopes = ndimage.sobel(light, 0) ** 2 + ndimage.sobel(light, 1) ** 2
    return Quality(
        side=min(width, height),
        focus=float(ndimage.laplace(light).var()) / squared * 1e4,
        tenengrad=float(slopes.mean()) / squared * 100,
        highlights=float(np.quantile(light, 0.95)),
        burnt=float((light > 0.97).mean()),
        skin=float(skin_mask(pixels).mean()),
    )


def skin_mask(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels [H, W, 3] in 0 to 1 whose hue skin can have, whatever its tone: chromaticities, not brightness."""
    total = pixels.sum(axis=2) + 1e-6
    red, green, blue = (pixels[..., channel] / total for channel in range(3))
    colour = (pixels.max(axis=2) - pixels.min(axis=2)) / (pixels.max(axis=2) + 1e-6)
    return (red > 0.35) & (red < 0.62) & (green > 0.2) & (blue < 0.36) & (red > blue) & (colour > 0.06)


def judge(found: Quality, settings: QualitySettings, image: int | None = None) -> tuple[list[Limitation], str | None]:
    """Limitations of one picture, and why it is refused, if it is.

    Args:
        image: its number in the case, from 0, for the limitations.
    """
    s = settings
    checks = (
        ("too_small", found.side < s.refuse_side, found.side < s.warn_side, f"only {found.side} pixels wide or high"),
        ("too_dark", found.highlights < s.refuse_dark, found.highlights < s.warn_dark, "underexposed"),
        ("too_bright", found.burnt > s.refuse_bright, found.burnt > s.warn_bright, "overexposed"),
        ("no_photograph", found.focus > s.refuse_texture, False, "not a photograph: no two neighbouring pixels agree"),
        ("blurred", found.focus < s.refuse_focus, found.focus < s.warn_focus, "out of focus"),
        ("little_skin", found.skin < s.refuse_skin, found.skin < s.warn_skin, "little that has a colour of skin"),
    )
    limitations = [
        Limitation(code=code, text=text, image=image) for code, refuse, warn, text in checks if refuse or warn
    ]
    reasons = [text for _, refuse, _, text in checks if refuse]
    return limitations, f"image {(image or 0) + 1} cannot be judged: {reasons[0]}" if reasons else None


def gate(images: Sequence[Image.Image], settings: QualitySettings) -> tuple[tuple[Limitation, ...], str | None]:
    """Limitations of a case's images, and why the case is refused: one unfit image is enough to ask for another."""
    judged = [judge(measure(image), settings, number) for number, image in enumerate(images)]
    limitations = tuple(limitation for found, _ in judged for limitation in found)
    return limitations, next((reason for _, reason in judged if reason), None)
