"""Colour of the lesion itself: base colour, flare, tops of blisters, further colours."""

from collections.abc import Set as AbstractSet

import numpy as np

from data_builders.rendered.canvas import Canvas, bell, colour_rgb, noise, ramp, rgb, skin_rgb
from data_builders.rendered.layout import FLAT, Lesions

_COLOURS = (
    "brown colour",
    "black colour",
    "blue-gray colour",
    "red colour",
    "pink colour",
    "violet colour",
    "white colour",
    "yellow colour",
    "skin colour",
)
_PIGMENTED = frozenset({"brown colour", "black colour", "blue-gray colour"})


def colour_of(signs: AbstractSet[str]) -> str:
    """The one base colour among the signs; skin colour when none is named."""
    return next((name for name in _COLOURS if name in signs), "skin colour")


def paint_body(rng: np.random.Generator, canvas: Canvas, signs: AbstractSet[str], form: str, lesions: Lesions) -> None:
    """Lays the base colour down and what belongs to it."""
    name = colour_of(signs)
    colour = np.clip(colour_rgb(name, canvas.tone) * np.float32(rng.uniform(0.93, 1.07)), 0, 1).astype(np.float32)
    if form in ("vesicle", "pustule"):
        _blister(rng, canvas, form, colour, lesions)
    elif form == "wheal":
        _wheal(canvas, colour, lesions)
    else:
        _plain(rng, canvas, signs, name, colour, form, lesions)
    if "several colours" in signs:
        _blotches(rng, canvas, name, lesions)


def _plain(
    rng: np.random.Generator,
    canvas: Canvas,
    signs: AbstractSet[str],
    name: str,
    colour: np.ndarray,
    form: str,
    lesions: Lesions,
) -> None:
    strength = np.float32(0.97 if name in _PIGMENTED or form not in FLAT else 0.85)
    cover = strength * lesions.body * (1 - np.float32(0.16) * noise(rng, canvas.size, 5))
    if "central clearing" in signs:
        cover = cover * (np.float32(0.1) + np.float32(0.9) * ramp(lesions.rho, 0.42, 0.66))
    elif "ring shape" in signs:
        cover = cover * (np.float32(0.4) + np.float32(0.6) * ramp(lesions.rho, 0.45, 0.7))
    if "asymmetry" in signs:
        cover = cover * (np.float32(0.7) + np.float32(0.3) * ramp(lesions.u, 0.55, -0.35))
    canvas.paint(colour, cover)
    if name == "skin colour":  # an outline of faint redness keeps a skin-coloured lesion from vanishing
        canvas.multiply(1 - np.float32(0.13) * bell(lesions.rho, 1.0, 0.09))
    if "raised rim" in signs:
        canvas.paint(colour * np.float32(0.8), np.float32(0.45) * bell(lesions.rho, 0.88, 0.1) * lesions.body)
    if "blue-gray colour" in signs:
        canvas.paint(rgb(122, 142, 172), np.float32(0.35) * ramp(lesions.rho, 0.7, 0.0))


def _wheal(canvas: Canvas, colour: np.ndarray, lesions: Lesions) -> None:
    """Pale swollen middle, flare around it."""
    flare = np.exp(-(np.clip(lesions.rho - 0.85, 0, None) ** 2) * np.float32(5)) * np.float32(0.9)
    canvas.paint(colour * np.float32(0.92), flare)
    pale = np.clip(skin_rgb(canvas.tone) * 0.65 + colour * 0.3 + 0.11, 0, 1).astype(np.float32)
    canvas.paint(pale, lesions.body * ramp(lesions.rho, 1.0, 0.72) * np.float32(0.9))


def _blister(rng: np.random.Generator, canvas: Canvas, form: str, colour: np.ndarray, lesions: Lesions) -> None:
    """An inflamed base; on it clear fluid (vesicle) or pus (pustule)."""
    base = ramp(lesions.rho, 1.95, 0.9) * (np.float32(0.75) + np.float32(0.25) * noise(rng, canvas.size, 4))
    canvas.paint(colour, base)
    if form == "pustule":
        top = rgb(244, 226, 150) if canvas.tone < 5 else rgb(226, 200, 122)
        canvas.paint(top, np.float32(0.95) * ramp(lesions.rho, 0.78, 0.5))
        return
    clear = np.clip(skin_rgb(canvas.tone) * 0.55 + rgb(206, 216, 226) * 0.45 + colour * 0.08, 0, 1).astype(np.float32)
    canvas.paint(clear, np.float32(0.88) * ramp(lesions.rho, 0.92, 0.74))
    canvas.paint(colour * np.float32(0.7), np.float32(0.5) * bell(lesions.rho, 0.92, 0.1))


def _blotches(rng: np.random.Generator, canvas: Canvas, name: str, lesions: Lesions) -> None:
    """Areas of other colours; which ones depends on the base only in that it is left out."""
    dark = canvas.tone >= 5
    palette = {
        "black colour": rgb(34, 25, 26),
        "brown colour": rgb(116, 70, 42) if dark else rgb(178, 122, 80),
        "blue-gray colour": rgb(94, 104, 126),
        "pink colour": rgb(150, 84, 76) if dark else rgb(190, 112, 100),
        "white colour": rgb(170, 142, 126) if dark else rgb(208, 182, 166),
    }
    choices = [key for key in palette if key != name]
    for pick in rng.permutation(len(choices))[:3]:
        blob = ramp(noise(rng, canvas.size, 6), 0.64, 0.8) * lesions.body * ramp(lesions.rho, 1.0, 0.8)
        canvas.paint(palette[choices[pick]], np.float32(0.82) * blob)
