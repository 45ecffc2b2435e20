"""Structures only a dermatoscope shows."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import numpy as np

from data_builders.rendered.canvas import Array, Canvas, bell, noise, ramp, rgb
from data_builders.rendered.layout import Lesions

Layer = Callable[[np.random.Generator, Canvas, Lesions], None]


def _honeycomb(u: Array, v: Array, period: float) -> Array:
    """Hexagonal waves: high in the holes of the net, low on its lines."""
    k = np.float32(4 * np.pi / (np.sqrt(3) * period))
    half, root = np.float32(0.5), np.float32(np.sqrt(3) / 2)
    return np.cos(k * u) + np.cos(k * (half * u + root * v)) + np.cos(k * (half * u - root * v))


def _net_colour(canvas: Canvas) -> Array:
    return rgb(44, 22, 12) if canvas.tone < 5 else rgb(14, 7, 5)


def _period(lesions: Lesions, canvas: Canvas, pixels: float) -> float:
    """A mesh width in lesion radii that comes out at so many pixels (of a 112-pixel image)."""
    return pixels / 112 / float(lesions.radii.mean())


def _regular_network(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    waves = _honeycomb(lesions.u, lesions.v, _period(lesions, canvas, 9.5))
    lines = ramp(waves, -0.1, -0.9)
    holes = ramp(waves, 0.6, 2.2) * ramp(lesions.rho, 0.95, 0.8)
    canvas.paint(rgb(206, 160, 116) if canvas.tone < 5 else rgb(140, 96, 66), np.float32(0.5) * holes)
    canvas.paint(_net_colour(canvas), np.float32(0.85) * lines * ramp(lesions.rho, 1.05, 0.75))


def _irregular_network(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    warp = _period(lesions, canvas, 14)
    u = lesions.u + np.float32(warp) * (noise(rng, canvas.size, 5) - np.float32(0.5))
    v = lesions.v + np.float32(warp) * (noise(rng, canvas.size, 5) - np.float32(0.5))
    waves = _honeycomb(u, v, _period(lesions, canvas, 13.5))
    thickness = np.float32(1.1) * noise(rng, canvas.size, 6)
    parts = ramp(noise(rng, canvas.size, 7), 0.28, 0.42)
    canvas.paint(
        rgb(196, 146, 104) if canvas.tone < 5 else rgb(134, 90, 62),
        np.float32(0.4) * ramp(waves, 0.8, 2.2) * lesions.body,
    )
    canvas.paint(_net_colour(canvas), np.float32(0.92) * ramp(waves - thickness, -0.2, -0.8) * parts * lesions.body)


def _dots(
    rng: np.random.Generator,
    canvas: Canvas,
    lesions: Lesions,
    count: tuple[int, int],
    radius: tuple[float, float],
    reach: float,
) -> Array:
    """A mask of round dots scattered within the lesions; radii in pixels of a 112-pixel image."""
    sheet, draw = canvas.strokes()
    side = 2 * canvas.size
    for centre, extent in list(zip(lesions.centres, lesions.radii, strict=True))[:4]:
        for _ in range(int(rng.integers(*count))):
            angle, away = rng.uniform(0, 2 * np.pi), reach * np.sqrt(rng.random())
            x, y = (centre + extent * away * np.array([np.cos(angle), np.sin(angle)])) * side
            r = 2 * canvas.scale * rng.uniform(*radius)
            draw.ellipse((float(x - r), float(y - r), float(x + r), float(y + r)), fill=255)
    return canvas.mask_of(sheet)


def _irregular_dots(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    dark = rgb(22, 14, 14) if canvas.tone < 5 else rgb(8, 5, 6)
    mask = _dots(rng, canvas, lesions, (12, 20), (1.2, 3.4), 0.92)
    canvas.paint(rgb(186, 140, 104), np.float32(0.25) * lesions.body * ramp(lesions.rho, 1.0, 0.8))
    canvas.paint(dark, np.float32(0.95) * mask)


def _milia_like_cysts(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    canvas.paint(rgb(252, 246, 222), np.float32(0.95) * _dots(rng, canvas, lesions, (7, 12), (1.8, 3.0), 0.8))


def _blue_white_veil(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    angle = rng.uniform(0, 2 * np.pi)
    away = (lesions.u - np.float32(0.25 * np.cos(angle))) ** 2 + (lesions.v - np.float32(0.25 * np.sin(angle))) ** 2
    veil = ramp(np.sqrt(away) + np.float32(0.35) * (noise(rng, canvas.size, 6) - np.float32(0.5)), 0.66, 0.42)
    haze = rgb(124, 148, 196)[:, None, None] * (np.float32(0.82) + np.float32(0.4) * noise(rng, canvas.size, 5))
    canvas.paint(haze, np.float32(0.85) * veil * lesions.body)


def _red_lagoons(rng: np.random.Generator, canvas: Canvas, lesions: Lesions) -> None:
    """Sharply bounded red lakes with pale walls between them: cells of a Voronoi diagram."""
    count = int(rng.integers(8, 13))
    angle, away = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    seeds = np.stack((away * np.cos(angle), away * np.sin(angle))).astype(np.float32)
    distance = (lesions.u[None] - seeds[0][:, None, None]) ** 2 + (lesions.v[None] - seeds[1][:, None, None]) ** 2
    nearest, second = np.sqrt(np.partition(distance, 1, axis=0)[:2])
    wall = ramp(second - nearest, 0.2, 0.06) * lesions.body
    canvas.paint(rgb(170, 14, 26) if canvas.tone < 5 else rgb(140, 10, 24), np.float32(0.7) * lesions.body)
    canvas.multiply(1 - np.float32(0.3) * bell(nearest, 0.0, 0.2) * lesions.body)
    canvas.paint(rgb(236, 178, 172), np.float32(0.72) * wall * ramp(lesions.rho, 1.0, 0.85))


LAYERS: dict[str, Layer] = {
    "red lagoons": _red_lagoons,
    "regular network": _regular_network,
    "irregular network": _irregular_network,
    "irregular dots": _irregular_dots,
    "blue-white veil": _blue_white_veil,
    "milia-like cysts": _milia_like_cysts,
}


def paint_structures(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], lesions: Lesions) -> None:
    """Applies every dermoscopic sign that is present."""
    for name, layer in LAYERS.items():
        if name in signs:
            layer(rng, canvas, lesions)
