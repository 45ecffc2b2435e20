"""Where lesions lie and what shape their outline has."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from data_builders.rendered.canvas import Array, bell, grid, ramp

FORMS = ("macule", "patch", "papule", "plaque", "nodule", "wheal", "vesicle", "pustule")
FLAT = frozenset({"macule", "patch"})

# Radius of one lesion as a share of the image's width.
_RADIUS = {
    "macule": (0.15, 0.20),
    "patch": (0.30, 0.38),
    "papule": (0.15, 0.20),
    "plaque": (0.28, 0.36),
    "nodule": (0.24, 0.31),
    "wheal": (0.25, 0.34),
    "vesicle": (0.14, 0.18),
    "pustule": (0.13, 0.17),
}
_SOFTNESS = {"sharp border": 0.07, "irregular border": 0.09, "raised rim": 0.09, "blurred border": 0.55}


@dataclass
class Lesions:
    """All copies of the lesion as one field: every pixel belongs to the copy it is nearest to.

    Attributes:
        u, v: coordinates within that copy, its radius being 1; each (size, size).
        rho: distance to the copy's centre, its wobbling outline being at 1.
        body: 0..1, where lesion is.
        centres, radii: of the copies, in shares of the width; shapes (n, 2) and (n,).
    """

    u: Array
    v: Array
    rho: Array
    body: Array
    centres: np.ndarray
    radii: np.ndarray


def form_of(signs: AbstractSet[str]) -> str:
    """The one form among the signs; a plaque when none is named."""
    return next((form for form in FORMS if form in signs), "plaque")


def lay_out(rng: np.random.Generator, signs: AbstractSet[str], dermoscopic: bool, size: int) -> Lesions:
    """Places the copies and shapes their outline by border, symmetry and pattern signs."""
    form = form_of(signs)
    radius = rng.uniform(*_RADIUS[form]) * (1.3 if dermoscopic else 1.0)
    if dermoscopic:
        radius = min(radius, 0.42)
    centres, radii = _place(rng, signs, form, radius, dermoscopic)
    copies = len(radii)
    x, y = grid(size)
    turn = rng.uniform(0, 2 * np.pi, copies)
    stretch = np.sqrt(rng.uniform(1.0, 1.25 if "asymmetry" not in signs else 1.45, copies))
    dx = (x[None] - centres[:, 0, None, None].astype(np.float32)) / radii[:, None, None].astype(np.float32)
    dy = (y[None] - centres[:, 1, None, None].astype(np.float32)) / radii[:, None, None].astype(np.float32)
    cos, sin = (f(turn).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    wide = stretch.astype(np.float32)[:, None, None]
    u, v = (dx * cos + dy * sin) / wide, (dy * cos - dx * sin) * wide
    if copies == 1:
        owner, u, v = np.zeros((size, size), np.intp), u[0], v[0]
    else:
        owner = np.argmin(u * u + v * v, axis=0)
        rows, columns = np.ogrid[:size, :size]
        u, v = u[owner, rows, columns], v[owner, rows, columns]
    rho = np.sqrt(u * u + v * v) * _outline(rng, signs, np.arctan2(v, u), owner, copies)
    border = next((name for name in _SOFTNESS if name in signs), "sharp border")
    soft = _SOFTNESS[border]
    body = ramp(rho, 1 + soft / 2, 1 - soft * (1.0 if border == "blurred border" else 0.5))
    return Lesions(u, v, rho, body, centres, radii)


def _outline(rng: np.random.Generator, signs: AbstractSet[str], theta: Array, owner: np.ndarray, copies: int) -> Array:
    """What the distance is multiplied by at each angle: 1 is a circle."""
    rough = 0.5 if "irregular border" in signs else 0.05
    factor = np.ones_like(theta)
    for k in (2, 3, 4, 5, 7, 9):
        phase = rng.uniform(0, 2 * np.pi, copies).astype(np.float32)
        height = rough / k * rng.uniform(0.5, 1.0)
        factor += np.float32(height) * np.cos(np.float32(k) * theta + phase[owner])
    if "asymmetry" in signs:
        phase = rng.uniform(0, 2 * np.pi, copies).astype(np.float32)
        lobe = np.cos(theta + phase[owner])
        factor += np.float32(0.24) * lobe + np.float32(0.22) * bell(lobe, -0.4, 0.3)
    if "flat top" in signs:
        corners = np.float32(2 * np.pi / 5)
        phase = rng.uniform(0, 2 * np.pi, copies).astype(np.float32)[owner]
        factor *= np.cos((theta + phase) % corners - corners / 2) * np.float32(1.15)
    return factor


def _place(
    rng: np.random.Generator, signs: AbstractSet[str], form: str, radius: float, dermoscopic: bool
) -> tuple[np.ndarray, np.ndarray]:
    grouped, many, linear = ("grouped lesions" in signs, "many lesions" in signs, "linear pattern" in signs)
    if not (grouped or many or linear):
        return 0.5 + rng.uniform(-0.08, 0.08, (1, 2)), np.array([radius])
    big = form in ("patch", "plaque", "nodule", "wheal")
    count = int(rng.integers(4, 7) if big else rng.integers(6, 11))
    if dermoscopic:
        count = max(3, count - 3)
    shrink = 0.42 if big else 0.52
    if linear:
        candidates = _along_a_line(rng, clustered=grouped)
        gap = 1.5
    elif grouped and not many:
        spread = 0.13 + 0.018 * count
        candidates = 0.5 + rng.uniform(-0.07, 0.07, 2) + rng.normal(0, spread, (90, 2)).clip(-0.36, 0.36)
        gap = 1.9
    else:
        candidates = rng.uniform(0.08, 0.92, (90, 2))
        gap = 2.25
    radii = radius * shrink * rng.uniform(0.75, 1.2, count)
    chosen: list[np.ndarray] = []
    for point in candidates:
        size = radii[len(chosen)]
        if all(np.hypot(*(point - other)) > gap * (size + radii[i]) / 2 for i, other in enumerate(chosen)):
            chosen.append(point)
            if len(chosen) == count:
                break
    return np.array(chosen), radii[: len(chosen)]


def _along_a_line(rng: np.random.Generator, clustered: bool) -> np.ndarray:
    angle = rng.uniform(0, np.pi)
    along = rng.uniform(-0.48, 0.48, 90)
    if clustered:
        knots = np.array([-0.33, 0.0, 0.33]) + rng.uniform(-0.05, 0.05, 3)
        along = knots[rng.integers(0, 3, 90)] + rng.normal(0, 0.07, 90)
    across = rng.normal(0, 0.05, 90)
    step = np.array([np.cos(angle), np.sin(angle)])
    return 0.5 + along[:, None] * step + across[:, None] * np.array([-step[1], step[0]])
