"""Elevation of a lesion and the light on it."""

from collections.abc import Set as AbstractSet

import numpy as np

from data_builders.rendered.canvas import Array, Canvas, bell, noise, ramp
from data_builders.rendered.layout import FLAT, Lesions

# Height of the top over the skin, in lesion radii.
_HEIGHT = {
    "macule": 0.0,
    "patch": 0.0,
    "papule": 0.5,
    "plaque": 0.24,
    "nodule": 0.75,
    "wheal": 0.26,
    "vesicle": 0.6,
    "pustule": 0.55,
}


def elevation(rng: np.random.Generator, signs: AbstractSet[str], form: str, lesions: Lesions, size: int) -> Array:
    """Height of every pixel in lesion radii, (size, size)."""
    rho, top = lesions.rho, np.float32(_HEIGHT[form])
    inside = np.clip(1 - rho * rho, 0, 1)
    if form in ("plaque", "wheal") or "flat top" in signs:
        height = top * ramp(rho, 1.0, 0.72)
    else:
        height = top * np.sqrt(inside)
    if "ring shape" in signs:
        height = height * np.float32(0.25) + np.float32(0.28 if form not in FLAT else 0.1) * bell(rho, 0.8, 0.16)
    if "raised rim" in signs:
        height = height + np.float32(0.3) * bell(rho, 0.84, 0.13)
    if "central dell" in signs:
        height = height - np.float32(0.42) * bell(rho, 0.0, 0.26)
    if "warty surface" in signs:
        height = height + np.float32(0.34) * lesions.body * np.sqrt(noise(rng, size, 1.7))
    if "ulcer" in signs:
        height = height - np.float32(0.3) * ramp(rho, 0.5, 0.36) * top
    return height.astype(np.float32)


def shade(rng: np.random.Generator, canvas: Canvas, lesions: Lesions, height: Array) -> Array:
    """Darkens what faces away from the lamp and what lies in the lesion's shadow; returns the slope towards the lamp.

    A dermatoscope lights from all around, so there only a trace of the relief is seen.
    """
    angle = rng.uniform(-2.6, -1.2)  # the lamp is somewhere above, often left
    lamp = np.cos(angle), np.sin(angle)
    mean_radius = float(lesions.radii.mean()) * canvas.size
    slope_y, slope_x = np.gradient(height * np.float32(mean_radius))
    facing = -(slope_x * np.float32(lamp[0]) + slope_y * np.float32(lamp[1]))
    facing = facing / np.sqrt(1 + facing * facing)
    strength = np.float32(0.12 if canvas.dermoscopic else 0.36)
    canvas.multiply(1 + strength * facing)
    if not canvas.dermoscopic:
        reach = max(1, round(0.22 * mean_radius))
        shadow = np.roll(height, (-round(reach * lamp[1]), -round(reach * lamp[0])), (0, 1))
        canvas.multiply(1 - np.float32(0.45) * np.clip(shadow - height, 0, 0.6))
    return facing
