"""Signs that lie on or in the surface: scale, crust, ulcer, shine, scar, vessels."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import numpy as np
from PIL import ImageDraw

from data_builders.rendered.canvas import Array, Canvas, bell, noise, ramp, rgb
from data_builders.rendered.layout import Lesions

Layer = Callable[[np.random.Generator, Canvas, AbstractSet[str], Lesions, Array], None]


def _zone(signs: AbstractSet[str], lesions: Lesions) -> Array:
    """Where scale and crust may lie: the whole lesion, or the ring of an annular one."""
    inner = ramp(lesions.rho, 1.02, 0.9)
    return inner * ramp(lesions.rho, 0.4, 0.62) if {"ring shape", "central clearing"} & signs else inner


def _scale(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    flakes = ramp(noise(rng, canvas.size, 1.3), 0.66, 0.76) * ramp(noise(rng, canvas.size, 6), 0.15, 0.4)
    flakes = flakes * _zone(signs, lesions)
    canvas.multiply(1 - np.float32(0.3) * np.roll(flakes, (1, 1), (0, 1)))
    canvas.paint(rgb(250, 246, 238), np.float32(0.88) * flakes)


def _silvery_scale(
    rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array
) -> None:
    sheet = ramp(noise(rng, canvas.size, 3.2), 0.22, 0.36) * ramp(lesions.rho, 0.9, 0.76)
    silver = rgb(232, 235, 240)[:, None, None] * (np.float32(0.8) + np.float32(0.24) * noise(rng, canvas.size, 1.0))
    canvas.multiply(1 - np.float32(0.3) * np.roll(sheet, (1, 1), (0, 1)))
    canvas.paint(silver, np.float32(0.93) * sheet)


def _crust(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    patches = ramp(noise(rng, canvas.size, 3.4), 0.58, 0.66) * _zone(signs, lesions)
    rough = rgb(98, 50, 24)[:, None, None] * (np.float32(0.55) + np.float32(0.9) * noise(rng, canvas.size, 1.2))
    canvas.paint(rough * np.float32(1.0 if canvas.tone < 5 else 0.75), np.float32(0.95) * patches)


def _honey_crust(
    rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array
) -> None:
    reach = ramp(lesions.rho, 1.15, 0.95)  # stuck on: it hides small blisters below as well
    lumps = ramp(noise(rng, canvas.size, 3.6), 0.42, 0.54) * reach
    grain = noise(rng, canvas.size, 1.3)
    canvas.multiply(1 - np.float32(0.35) * np.roll(lumps, (1, 1), (0, 1)))
    canvas.paint(
        rgb(214, 148, 34)[:, None, None] * (np.float32(0.75) + np.float32(0.45) * grain), np.float32(0.95) * lumps
    )
    canvas.paint(rgb(255, 228, 140), np.float32(0.75) * lumps * ramp(grain, 0.84, 0.92))


def _warty(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    pits = ramp(noise(rng, canvas.size, 1.7), 0.42, 0.3) * lesions.body
    knobs = ramp(noise(rng, canvas.size, 1.7), 0.72, 0.9) * lesions.body
    canvas.multiply(1 - np.float32(0.42) * pits)
    canvas.multiply(1 + np.float32(0.2) * knobs)
    dots = ramp(noise(rng, canvas.size, 1.1), 0.93, 0.97) * lesions.body
    canvas.paint(rgb(44, 24, 20), np.float32(0.75) * dots)


def _smooth(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    angle = rng.uniform(-2.6, -1.2)
    spot = (lesions.u - np.float32(0.34 * np.cos(angle))) ** 2
    spot = spot + (lesions.v - np.float32(0.34 * np.sin(angle))) ** 2
    shine = np.exp(-spot * np.float32(14)) + np.float32(0.45) * ramp(facing, 0.25, 0.7) * lesions.body
    canvas.paint(rgb(255, 255, 252), np.float32(0.72) * np.clip(shine, 0, 1) * lesions.body)


def _pearly(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    band = bell(lesions.rho, 0.72, 0.26) * lesions.body
    canvas.paint(rgb(240, 232, 236), band * np.float32(0.42 if canvas.tone < 5 else 0.34))
    glints = ramp(noise(rng, canvas.size, 2.0), 0.86, 0.95) * band
    canvas.paint(rgb(255, 255, 255), np.float32(0.85) * glints)


def _ulcer(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    ragged = lesions.rho + np.float32(0.22) * (noise(rng, canvas.size, 4) - np.float32(0.5))
    pit = ramp(ragged, 0.5, 0.42)
    raw = rgb(118, 16, 22)[:, None, None] * (np.float32(0.65) + np.float32(0.7) * noise(rng, canvas.size, 1.8))
    canvas.paint(rgb(60, 12, 14), np.float32(0.8) * bell(ragged, 0.48, 0.07))
    canvas.paint(raw, np.float32(0.95) * pit)
    canvas.paint(rgb(255, 210, 205), np.float32(0.6) * pit * ramp(noise(rng, canvas.size, 1.2), 0.92, 0.97))


def _dell(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    canvas.multiply(1 - np.float32(0.55) * bell(lesions.rho, 0.27, 0.13))
    canvas.paint(rgb(240, 222, 206), np.float32(0.6) * bell(lesions.rho, 0.0, 0.2))


def _flat_top(
    rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array
) -> None:
    facet = ramp(lesions.rho, 0.74, 0.64)
    canvas.paint(rgb(246, 232, 244), facet * np.float32(0.3))
    canvas.multiply(1 - np.float32(0.3) * bell(lesions.rho, 0.84, 0.1))


def _scar(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array) -> None:
    arms = np.cos(3 * np.arctan2(lesions.v, lesions.u) + np.float32(rng.uniform(0, 6))) * np.float32(0.1)
    pale = rgb(250, 240, 232) if canvas.tone < 5 else rgb(216, 190, 172)
    canvas.paint(pale, np.float32(0.88) * ramp(lesions.rho + arms, 0.46, 0.28))


def _telangiectasia(
    rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array
) -> None:
    sheet, draw = canvas.strokes()
    side = 2 * canvas.size
    thick = max(1, round(1.5 * canvas.scale))
    for centre, radius in list(zip(lesions.centres, lesions.radii, strict=True))[:5]:
        for _ in range(4):
            angle = rng.uniform(0, 2 * np.pi)
            start = centre + radius * np.array([np.cos(angle), np.sin(angle)])
            heading = angle + np.pi + rng.uniform(-0.5, 0.5)
            _branch(rng, draw, start * side, heading, radius * side * 0.27, thick + 1, depth=3)
    red = rgb(196, 22, 34) if canvas.tone < 4 else rgb(150, 10, 26)
    canvas.paint(red, np.float32(0.92) * canvas.mask_of(sheet))


def _branch(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    start: np.ndarray,
    heading: float,
    step: float,
    width: int,
    depth: int,
) -> None:
    points = [start]
    for _ in range(3):
        heading += rng.uniform(-0.45, 0.45)
        points.append(points[-1] + step * np.array([np.cos(heading), np.sin(heading)]))
    draw.line([(float(px), float(py)) for px, py in points], fill=255, width=width)
    if depth > 1:
        side = rng.choice((-1.0, 1.0))
        _branch(rng, draw, points[-2], heading + side * rng.uniform(0.5, 0.9), step * 0.6, max(1, width - 1), depth - 1)


# Order is from the depth outwards: what lies on top is painted last.
LAYERS: dict[str, Layer] = {
    "pearly surface": _pearly,
    "flat top": _flat_top,
    "warty surface": _warty,
    "central scar": _scar,
    "central dell": _dell,
    "telangiectasia": _telangiectasia,
    "ulcer": _ulcer,
    "silvery scale": _silvery_scale,
    "scale": _scale,
    "crust": _crust,
    "honey crust": _honey_crust,
    "smooth surface": _smooth,
}


def paint_surface(
    rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions, facing: Array
) -> None:
    """Applies every surface sign that is present, deepest first."""
    for name, layer in LAYERS.items():
        if name in signs:
            layer(rng, canvas, signs, lesions, facing)


def blister_shine(canvas: Canvas, form: str, lesions: Lesions) -> None:
    """The window-like reflex on a tense blister."""
    if form not in ("vesicle", "pustule"):
        return
    spot = (lesions.u + np.float32(0.3)) ** 2 + (lesions.v + np.float32(0.32)) ** 2
    canvas.paint(rgb(255, 255, 255), np.float32(0.95 if form == "vesicle" else 0.4) * np.exp(-spot * np.float32(22)))
