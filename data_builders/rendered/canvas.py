"""The sheet a lesion is painted on: coordinates, noise, colour of skin, and blending.

Images are float32 arrays of shape (3, size, size) in 0..1 while they are painted; masks are (size, size) in 0..1.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]
Colour = tuple[float, float, float]

# Plausible sRGB of untanned skin, Fitzpatrick I to VI.
_SKIN = ((243, 217, 200), (232, 198, 173), (214, 171, 138), (182, 132, 97), (134, 90, 63), (88, 59, 45))

# What a colour name looks like on Fitzpatrick I and on VI; tones between are interpolated. Erythema turns dusky on
# dark skin, and pigment has to be darker than the skin around it to be seen at all.
_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "brown colour": ((140, 88, 52), (46, 25, 13)),
    "black colour": ((40, 31, 33), (11, 9, 13)),
    "blue-gray colour": ((74, 96, 132), (58, 78, 118)),
    "red colour": ((200, 50, 46), (140, 28, 40)),
    "pink colour": ((233, 146, 142), (152, 88, 94)),
    "violet colour": ((142, 76, 134), (98, 44, 98)),
    "white colour": ((252, 248, 244), (226, 206, 192)),
    "yellow colour": ((228, 190, 96), (190, 142, 60)),
}


def rgb(red: float, green: float, blue: float) -> Array:
    """8-bit sRGB numbers as a float array of shape (3,)."""
    return np.array((red, green, blue), np.float32) / np.float32(255)


def skin_rgb(tone: int) -> Array:
    """Mean colour of skin of a Fitzpatrick tone 1..6."""
    return rgb(*_SKIN[tone - 1])


def colour_rgb(name: str, tone: int) -> Array:
    """What a colour concept looks like on skin of this tone."""
    if name == "skin colour":
        return np.clip(skin_rgb(tone) * rgb(252, 240, 232), 0, 1)
    light, dark = (rgb(*value) for value in _COLOURS[name])
    weight = np.float32((tone - 1) / 5)
    return light * (1 - weight) + dark * weight


@lru_cache(maxsize=4)
def grid(size: int) -> tuple[Array, Array]:
    """x and y of every pixel centre, 0..1, each (size, size)."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(axis, axis)
    return x, y


@lru_cache(maxsize=64)
def _bank(size: int, grain: float) -> Array:
    """Noise whose values are uniform on 0..1, so that a threshold t covers the share t. One fixed sheet, cropped."""
    rng = np.random.Generator(np.random.PCG64(int(grain * 100)))
    side = 3 * size
    blurred = gaussian_filter(rng.standard_normal((side, side)), grain * size / 112, mode="wrap")
    ranks = np.empty(side * side, np.float32)
    ranks[np.argsort(blurred, axis=None, kind="stable")] = np.linspace(0, 1, side * side, dtype=np.float32)
    return ranks.reshape(side, side)


def noise(rng: np.random.Generator, size: int, grain: float) -> Array:
    """A random crop of uniform noise; ``grain`` is the blob radius in pixels of a 112-pixel image."""
    top, left = rng.integers(0, 2 * size, 2)
    return _bank(size, grain)[top : top + size, left : left + size]


def ramp(value: Array, low: float, high: float) -> Array:
    """Smooth step from 0 at ``low`` to 1 at ``high`` (``low`` may exceed ``high``)."""
    t = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def bell(value: Array, centre: float, width: float) -> Array:
    """Gaussian bump of height 1."""
    t = (value - np.float32(centre)) * np.float32(1 / width)
    return np.exp(-t * t)


@dataclass
class Canvas:
    """The image under the brush, with what every layer needs to know."""

    pixels: Array
    tone: int
    dermoscopic: bool
    size: int

    @property
    def scale(self) -> float:
        """Pixels per pixel of the reference size."""
        return self.size / 112

    def paint(self, colour: Array, alpha: Array) -> None:
        """Covers with a colour of shape (3,) or (3, size, size)."""
        target = colour[:, None, None] if colour.ndim == 1 else colour
        self.pixels += alpha * (target - self.pixels)

    def multiply(self, factor: Array) -> None:
        """Lightens or darkens."""
        self.pixels *= factor

    def strokes(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """A drawing sheet of twice the size for thin lines and dots; :meth:`mask_of` turns it into a mask."""
        sheet = Image.new("L", (2 * self.size, 2 * self.size), 0)
        return sheet, ImageDraw.Draw(sheet)

    def mask_of(self, sheet: Image.Image) -> Array:
        return np.asarray(sheet.reduce(2), np.float32) / np.float32(255)


def skin(rng: np.random.Generator, tone: int, dermoscopic: bool, size: int) -> Canvas:
    """Bare skin: tone with a personal cast, mottling, pores, uneven light."""
    base = skin_rgb(tone) * (1 + rng.uniform(-0.05, 0.05)) + rng.uniform(-0.012, 0.012, 3)
    mottle = noise(rng, size, 9) * 0.6 + noise(rng, size, 1.2) * 0.4
    depth = 0.09 if dermoscopic else 0.12
    shade = 1 + depth * (mottle - np.float32(0.5))
    if not dermoscopic:
        x, y = grid(size)
        angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.22)
        shade = shade * (1 + slope * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)))
    pixels = base.astype(np.float32)[:, None, None] * shade.astype(np.float32)
    return Canvas(pixels, tone, dermoscopic, size)


def hairs(rng: np.random.Generator, canvas: Canvas) -> None:
    """Now and then a few hairs cross the field."""
    if rng.random() > 0.3:
        return
    sheet, draw = canvas.strokes()
    side = 2 * canvas.size
    for _ in range(int(rng.integers(1, 5))):
        start, angle, bend = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
        steps = np.linspace(0, side * rng.uniform(0.3, 0.7), 8)
        turn = angle + bend * steps / side
        points = np.stack((start[0] + steps * np.cos(turn), start[1] + steps * np.sin(turn)), 1)
        draw.line([(float(px), float(py)) for px, py in points], fill=190, width=2)
    canvas.paint(rgb(38, 27, 22), canvas.mask_of(sheet) * np.float32(0.8))


def finish(rng: np.random.Generator, canvas: Canvas) -> Image.Image:
    """Sensor noise, exposure, and the dark round frame of a dermatoscope."""
    canvas.multiply(
        np.float32(rng.uniform(0.94, 1.06)) + np.float32(0.03) * (noise(rng, canvas.size, 0.3) - np.float32(0.5))
    )
    if canvas.dermoscopic:
        x, y = grid(canvas.size)
        radius = np.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2)
        canvas.multiply(1 - np.float32(0.94) * ramp(radius, 0.475, 0.53))
    levels = np.clip(canvas.pixels * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)), "RGB")
