"""The strict half of the search for near-duplicates: do two small grey pictures show the same scene?

Candidates come from hashes and are many; here each pair is laid one on the other by an affine map (turn, mirror, crop,
scale, shift) and compared in detail. Registration is the inverse compositional algorithm (Baker and Matthews 2004,
"Lucas-Kanade 20 years on", section 3.2) from coarse to fine, on all pairs of a batch at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SIDE = 64
# Correlation of the fine detail from which on a pair counts as one scene; tuned on half of the real photographs.
AGREEMENT = 0.90
_LEVELS = ((16, 10), (32, 8), (64, 6))  # side in pixels, iterations
_COARSE_AGREEMENT = 0.85  # of the whole pictures after each level; below it a pair is dropped early
_ORIENTATIONS_TRIED = 3
# Only the middle of either picture is compared: turning fills the rim with wedges, dermoscopes darken the corners.
# A pixel reaches further in at a coarse level.
_RIM = 4  # px of the full side
_MIDDLE = {16: 0.74, 32: 0.82, 64: 0.86}  # side in pixels -> of half a side
_MIN_OVERLAP = 0.6  # of that middle
_MAX_TURN = 0.35  # largest entry of the linear part away from identity
_MAX_SHIFT = 0.40  # of half a side
_DETAIL = 2.0  # px of the full side: what is coarser than this is not detail

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How well each pair agrees, arrays of one entry a pair.

    Attributes:
        detail: correlation of the fine detail after alignment, -1..1; -1 where no alignment was found.
        whole: correlation of the whole pictures after alignment.
        orientation: 0..7, how the second was turned before aligning, an index of :func:`turned`.
    """

    detail: Floats
    whole: Floats
    orientation: NDArray[np.int64]


def turned(pictures: NDArray, orientation: int) -> NDArray:
    """Pictures (n, side, side): bit 0 mirrors left-right, bit 1 up-down, bit 2 swaps rows and columns."""
    if orientation & 4:
        pictures = pictures.swapaxes(1, 2)
    if orientation & 2:
        pictures = pictures[:, ::-1]
    return pictures[:, :, ::-1] if orientation & 1 else pictures


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Agreement:
    """Compares pictures pair by pair.

    Args:
        first: (n, 64, 64) grey levels.
        second: the same shape.
    """
    n = len(first)
    best = Agreement(np.full(n, -1, np.float32), np.full(n, -1, np.float32), np.zeros(n, np.int64))
    if not n:
        return best
    a, b = _without_rim(first), _without_rim(second)
    for choice in _likely_orientations(a, b).T:
        open_ = np.flatnonzero(best.detail < AGREEMENT)
        if not len(open_):
            break
        oriented = np.empty_like(b[open_])
        for orientation in range(8):
            rows = choice[open_] == orientation
            oriented[rows] = turned(b[open_[rows]], orientation)
        detail, whole = _align(a[open_], oriented)
        better = detail > best.detail[open_]
        rows = open_[better]
        best.detail[rows], best.whole[rows], best.orientation[rows] = detail[better], whole[better], choice[rows]
    return best


def _likely_orientations(a: Floats, b: Floats) -> NDArray[np.int64]:
    """(n, tried) orientations of ``b``, that which correlates best with ``a`` unaligned first."""
    small_a, small_b = _shrunk(a, 16), _shrunk(b, 16)
    scores = np.stack([_correlation(small_a, turned(small_b, o)) for o in range(8)], axis=1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :_ORIENTATIONS_TRIED]


def _align(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Detail and whole correlation after alignment; -1 where the search left the allowed maps."""
    n = len(a)
    warp = np.tile(np.eye(3, dtype=np.float32), (n, 1, 1))
    alive = np.arange(n)
    for side, iterations in _LEVELS:
        if not len(alive):
            break
        warp[alive] = _register(_shrunk(a[alive], side), _shrunk(b[alive], side), warp[alive], iterations)
        score = _agreement(_shrunk(a[alive], side), _shrunk(b[alive], side), warp[alive])
        alive = alive[(score >= _COARSE_AGREEMENT) & _allowed(warp[alive])]
    detail, whole = np.full(n, -1, np.float32), np.full(n, -1, np.float32)
    if len(alive):
        whole[alive] = _agreement(a[alive], b[alive], warp[alive])
        detail[alive] = _agreement(_fine(a[alive]), _fine(b[alive]), warp[alive])
    return detail, whole


def _register(template: Floats, image: Floats, warp: Floats, iterations: int) -> Floats:
    """Refines (n, 3, 3) maps from template to image coordinates, both -1..1."""
    n, side, _ = template.shape
    grid = _grid(side)
    down, across = np.gradient(template, 2 / side, axis=(1, 2))
    gx, gy = across.reshape(n, -1), down.reshape(n, -1)
    x, y, _ = grid
    steepest = np.stack([gx * x, gx * y, gx, gy * x, gy * y, gy], axis=1)
    flat = template.reshape(n, -1)
    warp = warp.copy()
    for _ in range(iterations):
        seen, inside = _sample(image, warp @ grid)
        t, i, scale = _standardised(flat, seen, inside)
        masked = steepest * inside[:, None]
        hessian = masked @ steepest.swapaxes(1, 2)
        ridge = 1e-3 + 1e-4 * np.trace(hessian, axis1=1, axis2=2)  # a picture may vary along one direction only
        hessian += ridge[:, None, None] * np.eye(6, dtype=np.float32)
        # the template's spread brings the standardised residual back to grey levels
        step = np.linalg.solve(hessian, masked @ ((i - t) * scale)[:, :, None])[:, :, 0]
        move = np.zeros((n, 3, 3), np.float32)
        move[:, :2] = np.clip(step, -0.2, 0.2).reshape(n, 2, 3)
        warp = warp @ np.linalg.inv(move + np.eye(3, dtype=np.float32))
    return warp


def _grid(side: int) -> Floats:
    """(3, side²) homogeneous coordinates of the pixel centres, -1..1."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, np.float32)])


def _sample(image: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Bilinear values of (n, side, side) at (n, 3, side²) points; 1 where both pictures are in their middle, else 0."""
    n, side, _ = image.shape
    x, y = ((points[:, k] + 1) * side / 2 - 0.5 for k in (0, 1))
    inside = (np.abs(points[:, :2]) <= _MIDDLE[side]).all(1) & (np.abs(_grid(side)[:2]) <= _MIDDLE[side]).all(0)
    x, y = np.clip(x, 0, side - 1.001), np.clip(y, 0, side - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    fx, fy = x - column, y - row
    at = row * side + column + (np.arange(n, dtype=np.int32) * side * side)[:, None]
    flat = image.ravel()
    top = flat[at] * (1 - fx) + flat[at + 1] * fx
    bottom = flat[at + side] * (1 - fx) + flat[at + side + 1] * fx
    values: Floats = top * (1 - fy) + bottom * fy
    return values.astype(np.float32), np.asarray(inside, np.float32)


def _standardised(a: Floats, b: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Both with mean 0 and spread 1 under the weight, and the spread of the first, (n, 1)."""
    total = weight.sum(1, keepdims=True) + 1e-6
    out = []
    for values in (a, b):
        centred = values - (values * weight).sum(1, keepdims=True) / total
        spread = np.sqrt((centred**2 * weight).sum(1, keepdims=True) / total) + 1e-3
        out.append((centred / spread, spread))
    return out[0][0], out[1][0], out[0][1]


def _agreement(a: Floats, b: Floats, warp: Floats) -> Floats:
    """Correlation over the overlap; -1 where that is too small."""
    n, side, _ = a.shape
    seen, inside = _sample(b, warp @ _grid(side))
    first, second, _ = _standardised(a.reshape(n, -1), seen, inside)
    share = inside.mean(1)
    score = (first * second * inside).mean(1) / np.maximum(share, 1e-6)
    return np.where(share >= _MIN_OVERLAP * _MIDDLE[side] ** 2, score, -1).astype(np.float32)


def _correlation(a: Floats, b: Floats) -> Floats:
    n = len(a)
    weight = np.ones((n, a[0].size), np.float32)
    first, second, _ = _standardised(a.reshape(n, -1), b.reshape(n, -1), weight)
    return (first * second).mean(1)


def _allowed(warp: Floats) -> NDArray[np.bool_]:
    turn = np.abs(warp[:, :2, :2] - np.eye(2, dtype=np.float32)).max((1, 2))
    return (turn <= _MAX_TURN) & (np.abs(warp[:, :2, 2]).max(1) <= _MAX_SHIFT)


def _without_rim(pictures: NDArray[np.uint8]) -> Floats:
    """The rim overwritten by what lies just inside, so that no blur carries it to the middle."""
    inner = pictures[:, _RIM:-_RIM, _RIM:-_RIM].astype(np.float32)
    return np.pad(inner, ((0, 0), (_RIM, _RIM), (_RIM, _RIM)), mode="edge")


def _shrunk(pictures: Floats, side: int) -> Floats:
    """Block means, lightly blurred so that the gradient reaches further than a pixel."""
    n, full, _ = pictures.shape
    step = full // side
    small = pictures.reshape(n, side, step, side, step).mean((2, 4)) if step > 1 else pictures
    return gaussian_filter(small, (0, 0.7, 0.7), mode="nearest")


def _fine(pictures: Floats) -> Floats:
    light = gaussian_filter(pictures, (0, 0.5, 0.5), mode="nearest")
    return light - gaussian_filter(pictures, (0, _DETAIL, _DETAIL), mode="nearest")
