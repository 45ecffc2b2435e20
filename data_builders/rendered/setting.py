"""What a picture owes to where on the body and with what camera it was taken, the lesion being the same."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from data_builders.rendered.canvas import Array, Canvas, grid, noise, ramp, rgb
from skinr1.errors import UserError

# The first three show plain skin and differ in name only; each of the others has a surface of its own.
SITES = ("trunk", "arm", "leg", "face", "scalp", "palm")
_SCALP_HAIRS = (28, 44)


@dataclass(frozen=True)
class Camera:
    """How a camera departs from the reference one.

    Attributes:
        balance: gain of red, green and blue.
        contrast: exponent of the tone curve; above 1 darkens the middle.
        blur: radius in pixels of a 112-pixel image.
        falloff: share of light lost in the corners.
        grain: amplitude of noise, a share of white.
    """

    balance: tuple[float, float, float]
    contrast: float
    blur: float
    falloff: float
    grain: float


REFERENCE = "reference"
CAMERAS: dict[str, Camera | None] = {
    REFERENCE: None,
    "phone": Camera((1.1, 1.0, 0.82), contrast=1.25, blur=0.7, falloff=0.3, grain=0.05),
}


def check_setting(sites: tuple[str, ...], camera: str) -> None:
    """Raises UserError for an unknown site or camera."""
    for site in sites:
        if site not in SITES:
            raise UserError("no such site in the rendered clinic", site, f"Use {', '.join(SITES)}.")
    if camera not in CAMERAS:
        raise UserError("no such camera in the rendered clinic", camera, f"Use {', '.join(CAMERAS)}.")


def paint_site(rng: np.random.Generator, canvas: Canvas, site: str | None) -> None:
    """The skin of a site, before the lesion is painted on it."""
    if site == "palm":  # less pigment than elsewhere, and ridges
        canvas.paint(rgb(226, 168, 148), np.full((canvas.size, canvas.size), 0.1 * canvas.tone, np.float32))
        x, y = grid(canvas.size)
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.04)
        along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        bent = along + np.float32(0.05) * noise(rng, canvas.size, 9)
        canvas.multiply(1 + np.float32(0.09) * np.sin(np.float32(2 * np.pi / period) * bent))
    elif site == "face":  # open pores and a flush
        canvas.paint(rgb(198, 92, 84), np.float32(0.18) * noise(rng, canvas.size, 9))
        canvas.multiply(1 - np.float32(0.3) * ramp(noise(rng, canvas.size, 0.8), 0.93, 0.99))


def cover_site(rng: np.random.Generator, canvas: Canvas, site: str | None) -> None:
    """What lies over the lesion: the hair of the scalp."""
    if site != "scalp":
        return
    sheet, draw = canvas.strokes()
    side, lean = 2 * canvas.size, rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(*_SCALP_HAIRS))):
        angle = lean + rng.normal(0, 0.25)
        step = np.array([np.cos(angle), np.sin(angle)]) * side * rng.uniform(0.2, 0.5)
        start = rng.uniform(0, side, 2)
        draw.line([(float(px), float(py)) for px, py in (start - step, start + step)], fill=210, width=2)
    canvas.paint(rgb(36, 26, 22), canvas.mask_of(sheet) * np.float32(0.85))


def photograph(rng: np.random.Generator, canvas: Canvas, camera: str) -> None:
    """The camera's optics and colours, over everything that was painted."""
    optics = CAMERAS[camera]
    if optics is None:
        return
    seen: Array = gaussian_filter(canvas.pixels, (0, *[optics.blur * canvas.scale] * 2))
    x, y = grid(canvas.size)
    corner = np.float32(2) * ((x - np.float32(0.5)) ** 2 + (y - np.float32(0.5)) ** 2)  # 0 in the middle, 1 there
    light = (1 - np.float32(optics.falloff) * corner) * np.array(optics.balance, np.float32)[:, None, None]
    grain = np.float32(2 * optics.grain) * (noise(rng, canvas.size, 0.3) - np.float32(0.5))
    canvas.pixels = np.clip(seen * light, 0, 1) ** np.float32(optics.contrast) + grain
