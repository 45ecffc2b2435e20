"""Skin tone from pixels: individual typology angle (ITA), three estimators, and how far they agree.

An estimate of the photograph and not of the person: lighting and white balance move it. Never mixed with what a
clinician or a patient says. The angle is taken by atan2, since the published arctan
flips its sign where b* < 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from skinr1.metrics.statistics import Array

Method = Literal["rp", "rp2", "groh"]
METHODS: tuple[Method, ...] = ("rp", "rp2", "groh")
SIDE, PATCH = 256, 20
KINYANJUI = (55.0, 41.0, 28.0, 19.0, 10.0)  # above: very light, light, intermediate, tan, tan-dark; else dark
GROH = (45.0, 28.0, 17.0, 5.0, -20.0)


@dataclass(frozen=True)
class Estimate:
    """``ita`` in degrees; None when no pixel was taken for skin. ``pixels`` were used."""

    method: Method
    ita: float | None
    pixels: int


def lab(rgb: NDArray[np.uint8]) -> Array:
    """(..., 3) sRGB -> CIELAB, D65, 2 degrees (IEC 61966-2-1; CIE 15)."""
    linear = rgb / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.array(to_xyz).T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def angle(lightness: Array, b: Array) -> Array:
    """ITA in degrees of L* and b*; steady across b* = 0."""
    return np.degrees(np.arctan2(lightness - 50, b))


def estimate(image: Image.Image, method: Method) -> Estimate:
    """The tone of one image.

    Args:
        method: ``rp2``: the lightest of eight patches at the edges (Bevan and Atapour-Abarghouei 2022), by atan2;
            ``rp`` the same by arctan, as published; ``groh``: all pixels that a colour rule takes for skin, those
            within one standard deviation of the mean L* and b*, averaged (Groh et al. 2022).
    """
    rgb = image.convert("RGB")
    return _groh(np.asarray(rgb)) if method == "groh" else _lightest(_patches(rgb), method)


def estimates(image: Image.Image) -> dict[Method, Estimate]:
    """The tone of one image by every method; the patches, which take longest, are looked at once."""
    rgb = image.convert("RGB")
    patches = _patches(rgb)
    return {"rp": _lightest(patches, "rp"), "rp2": _lightest(patches, "rp2"), "groh": _groh(np.asarray(rgb))}


def _patches(image: Image.Image) -> Array:
    """(8, 3) mean CIELAB colours of the patches at the edges of the central square, hairs filled."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    rgb = _without_hair(np.asarray(square))
    ends = (0, (SIDE - PATCH) // 2, SIDE - PATCH)
    corners = [(y, x) for y in ends for x in ends if (y, x) != (ends[1], ends[1])]
    return lab(np.stack([rgb[y : y + PATCH, x : x + PATCH] for y, x in corners])).mean(axis=(1, 2))


def _lightest(patches: Array, method: Method) -> Estimate:
    lightness, b = patches[:, 0], patches[:, 2]
    if method == "rp2":
        angles = angle(lightness, b)
    else:
        angles = np.degrees(np.arctan((lightness - 50) / np.where(b == 0, 1e-12, b)))
    return Estimate(method, float(angles.max()), len(patches) * PATCH * PATCH)


def _without_hair(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark thin lines (black-hat with a 17 x 17 cross, over 10) filled from the nearest pixel beside them.

    The original inpaints by Telea's method; at the size of a patch's mean the two do not differ.
    """
    grey = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.int16)
    cross = np.zeros((17, 17), dtype=bool)
    cross[8], cross[:, 8] = True, True
    hair = ndimage.grey_closing(grey, footprint=cross) - grey > 10
    if hair.all() or not hair.any():
        return rgb
    nearest = ndimage.distance_transform_edt(hair, return_distances=False, return_indices=True)
    return rgb[tuple(nearest)]


def _groh(rgb: NDArray[np.uint8]) -> Estimate:
    skin = lab(rgb[skin_mask(rgb)])
    if not len(skin):
        return Estimate("groh", None, 0)
    kept = np.ones(len(skin), dtype=bool)
    for channel in (0, 2):
        values = skin[:, channel]
        kept &= np.abs(values - values.mean()) <= values.std() + 1e-9
    if not kept.any():
        return Estimate("groh", None, 0)
    lightness, _, b = skin[kept].mean(axis=0)
    return Estimate("groh", float(angle(lightness, b)), int(kept.sum()))


def skin_mask(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(..., 3) -> (...) the RGB and YCbCr rule of Kolkur et al. 2017, bounds included."""
    r, g, b = (rgb[..., channel].astype(np.float64) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    cb, cr = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b, 128 + 0.5 * r - 0.418688 * g - 0.081312 * b
    red = (r >= 95) & (g >= 40) & (b >= 20) & (r > g) & (r > b) & (np.abs(r - g) >= 15)
    chroma = (y >= 80) & (cb >= 85) & (cr >= 135)
    for slope, offset, above in (
        (1.5862, 20.0, False),
        (0.3448, 76.2069, True),
        (-4.5652, 234.5652, True),
        (-1.15, 301.75, False),
        (-2.2857, 432.85, False),
    ):
        line = slope * cb + offset
        chroma &= cr >= line if above else cr <= line
    return red & chroma


def bin_of(ita: float, edges: Sequence[float] = KINYANJUI) -> int:
    """1 (lightest) to 6 (darkest): above the first edge 1, at or below the last 6. Groh's first edge is included."""
    first = ita >= edges[0] if tuple(edges) == GROH else ita > edges[0]
    return 1 if first else 1 + sum(ita <= edge for edge in edges)


def agreement(bins: Mapping[str, Sequence[int | None]]) -> list[dict[str, Any]]:
    """Every pair of methods: share in the same bin, share at most one bin apart, and quadratic weighted kappa.

    Images that either method gives no bin are left out and counted.
    """
    names = list(bins)
    rows = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            pairs = [(a, b) for a, b in zip(bins[one], bins[other], strict=True) if a is not None and b is not None]
            a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            rows.append(
                {
                    "methods": [one, other],
                    "n": len(pairs),
                    "left_out": len(bins[one]) - len(pairs),
                    "exact": float((a == b).mean()) if pairs else None,
                    "within_one": float((np.abs(a - b) <= 1).mean()) if pairs else None,
                    "kappa": quadratic_kappa(a, b),
                }
            )
    return rows


def quadratic_kappa(a: NDArray[np.int64], b: NDArray[np.int64]) -> float | None:
    """Cohen's kappa with quadratic weights; None where both never vary, or nothing is there."""
    if not len(a):
        return None
    observed = ((a - b) ** 2).mean()
    expected = a.var() + b.var() + (a.mean() - b.mean()) ** 2  # of independent draws of each
    return None if expected == 0 else float(1 - observed / expected)


def summary(found: Sequence[Mapping[Method, Estimate]], unreadable: int = 0) -> dict[str, Any]:
    """What ``scores.json`` says of the tone of some photographs: each method by itself, and how far they agree.

    Args:
        found: the estimates of each image that could be read.
        unreadable: how many could not.
    """
    bins: dict[str, list[int | None]] = {
        method: [None if (ita := image[method].ita) is None else bin_of(ita) for image in found] for method in METHODS
    }
    return {
        "images": len(found),
        "unreadable": unreadable,
        "edges": list(KINYANJUI),
        "methods": {method: _spread([image[method].ita for image in found], bins[method]) for method in METHODS},
        "agreement": [
            {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
            for row in agreement(bins)
        ],
    }


def _spread(angles: Sequence[float | None], bins: Sequence[int | None]) -> dict[str, Any]:
    """Images with an estimate, its quartiles in degrees (None without any), and images in each bin, lightest first."""
    known = [ita for ita in angles if ita is not None]
    quartiles = [round(float(q), 2) for q in np.quantile(known, [0.25, 0.5, 0.75])] if known else None
    return {"n": len(known), "quartiles": quartiles, "bins": [bins.count(place) for place in range(1, 7)]}
