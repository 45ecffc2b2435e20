"""A 256-bit signature of a picture that hardly changes when it is mirrored, turned, cropped, resized or recompressed.

It describes colour and texture without saying where in the picture they are: moments and histograms of three colour
channels, and the power of the Fourier transform in rings, all under a Hann window, which is blind to the rim. Mirroring
and quarter turns leave these numbers as they are, a 10 % crop moves them little. Each is divided by how much such
copies move it (``signature.yaml``) and the vector is cut by 256 hyperplanes (Charikar 2002), so that the Hamming
distance of two signatures measures the angle between two pictures.
"""

import hashlib
from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import yaml
from numpy.typing import NDArray

BITS = 256
SIDE = 32
_RINGS = (0.5, 1.5, 2.5, 3.5, 5, 7, 10, 15.9)  # cycles a side
_BINS = 12
_RANGES = ((0.0, 1.0), (-0.2, 0.6), (-0.1, 0.3))  # of lightness, red minus blue, magenta minus green

Floats = NDArray[np.float32]


def signatures(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 32) packed bits of (n, 64, 64, 3) RGB pictures."""
    centre, scale, planes = _constants()
    return np.packbits(((features(pictures) - centre) / scale) @ planes > 0, axis=1)


def features(pictures: NDArray[np.uint8]) -> Floats:
    """(n, 90) numbers that do not depend on the picture's orientation; ``pictures`` as for :func:`signatures`."""
    n, side = pictures.shape[:2]
    step = side // SIDE
    small = pictures.reshape(n, SIDE, step, SIDE, step, 3).mean((2, 4), dtype=np.float32) / 255
    red, green, blue = np.moveaxis(small, -1, 0)
    channels = np.stack([(red + green + blue) / 3, red - blue, (red + blue) / 2 - green], axis=1).reshape(n, 3, -1)
    window, rings = _window(), _rings()
    mean = channels @ window
    centred = channels - mean[:, :, None]
    covariance = (centred * window) @ centred.swapaxes(1, 2)
    spread = np.sqrt(np.einsum("ncc->nc", covariance) + 1e-6)
    correlation = covariance / (spread[:, :, None] * spread[:, None])
    unit = centred / spread[:, :, None]
    squared = unit * unit
    transform = np.fft.rfft2((centred * window * SIDE**2).reshape(n, 3, SIDE, SIDE))
    power = (transform.real**2 + transform.imag**2).reshape(n, 3, -1).astype(np.float32) @ rings
    parts = [
        mean,
        np.log(spread),
        correlation[:, [0, 0, 1], [1, 2, 2]],
        np.clip((squared * unit) @ window, -5, 5),
        np.log((squared * squared) @ window + 1e-6),
        np.log(power + 1e-3),
        _histograms(channels, window),
    ]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1).astype(np.float32)


def _histograms(channels: Floats, window: Floats) -> Floats:
    """Square roots of weighted histograms, each value shared between the two bins nearest to it."""
    n = len(channels)
    out = np.zeros((n, len(_RANGES), _BINS), np.float32)
    weights = np.broadcast_to(window, (n, len(window)))
    row = (np.arange(n) * _BINS)[:, None]
    for k, (low, high) in enumerate(_RANGES):
        place = np.clip((channels[:, k] - low) / (high - low) * _BINS - 0.5, 0, _BINS - 1.001)
        left = place.astype(np.int64)
        upper = weights * (place - left)
        sums = np.bincount((row + left).ravel(), (weights - upper).ravel(), n * _BINS)
        sums += np.bincount((row + left + 1).ravel(), upper.ravel(), n * _BINS)
        out[:, k] = np.sqrt(sums.reshape(n, _BINS))
    return out


@cache
def _window() -> Floats:
    axis = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE) ** 2
    window = np.outer(axis, axis).ravel()
    return (window / window.sum()).astype(np.float32)


@cache
def _rings() -> Floats:
    """(frequencies, rings) weights: rings of frequency, from the second on divided into along the axes and diagonal.

    The transform of a real picture holds one of every two opposite frequencies, but both of those with none across.
    """
    down, across = np.fft.fftfreq(SIDE) * SIDE, np.fft.rfftfreq(SIDE) * SIDE
    radius = np.hypot(down[:, None], across[None]).ravel()
    angle = np.arctan2(np.abs(down[:, None]), np.abs(across[None])).ravel()
    along = (angle < np.pi / 8) | (angle > 3 * np.pi / 8)
    columns = []
    for k, (low, high) in enumerate(pairwise(_RINGS)):
        ring = (radius >= low) & (radius < high)
        columns += [ring & along, ring & ~along] if k else [ring]
    once = np.where(np.isin(across, (0, -SIDE / 2, SIDE / 2)), 0.5, 1.0)
    weight = np.broadcast_to(once, (SIDE, len(once))).reshape(-1, 1)
    return (np.stack(columns, axis=1) * weight).astype(np.float32)


@cache
def _constants() -> tuple[Floats, Floats, Floats]:
    """Centre and scale of every feature, and the (features, 256) directions, plus or minus 1, from a fixed hash."""
    table = yaml.safe_load(files("skinr1.splits").joinpath("signature.yaml").read_text(encoding="utf-8"))
    centre, scale = (np.array(table[key], np.float32) for key in ("centre", "scale"))
    noise = hashlib.shake_256(b"skinr1 signature").digest(len(centre) * BITS // 8)
    bits = np.unpackbits(np.frombuffer(noise, np.uint8)).reshape(len(centre), BITS)
    return centre, scale, bits.astype(np.float32) * 2 - 1
