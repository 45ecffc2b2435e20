"""Occlusion: which parts of a picture a phrase rests on, and whether the map is true to the model.

A square that slides over the picture is filled with the picture's median colour; the drop of the phrase's
log-probability is the heat of the cells under it (Zeiler and Fergus 2014, section 4.2). The map is tested by deletion
and insertion (Petsiuk et al. 2018, RISE): hiding the hottest cells first must hurt more than hiding cells in random
orders, showing them first must help more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Masks (cells to hide) -> log-probability of the phrase, one a mask.
Score = Callable[[Sequence[Mask]], Array]

ORDERS = 30
STEPS = 12
ALPHA = 0.05
LEAST = 0.1  # nats, 10 % of a probability: a word that no cell moves by so much hardly depends on the picture


@dataclass(frozen=True)
class Faithfulness:
    """A map against random orders of the cells.

    Attributes:
        shares: shares of cells hidden (deletion) or shown (insertion), from 0 to 1.
        deletion, insertion: log-probability at each share, hottest cells first.
        random_deletion, random_insertion: means over the random orders.
        p_deletion, p_insertion: share of random orders at least as good by the area under the curve, the map's own
            order counted among them, so never 0.
    """

    shares: Array
    deletion: Array
    insertion: Array
    random_deletion: Array
    random_insertion: Array
    p_deletion: float
    p_insertion: float

    @property
    def faithful(self) -> bool:
        """Whether both tests pass at 5 %."""
        return max(self.p_deletion, self.p_insertion) < ALPHA


def hide(picture: Image.Image, mask: Mask, side: int) -> Image.Image:
    """The picture with the masked cells, of ``side`` pixels, in its median colour.

    Args:
        mask: (rows, columns); the picture measures rows * side by columns * side pixels.
    """
    pixels = np.array(picture.convert("RGB"))
    colour = np.median(pixels.reshape(-1, 3), axis=0)
    hidden = np.kron(mask, np.ones((side, side), dtype=bool))
    pixels[hidden] = np.round(colour).astype(np.uint8)
    return Image.fromarray(pixels)


def heat_map(score: Score, shape: tuple[int, int], window: int = 2) -> tuple[float, Array]:
    """Log-probability on the whole picture, and its mean drop, in nats, over the squares that cover each cell.

    Args:
        window: side of the square, in cells. Squares reach over the edge, so that every cell is covered equally often.
    """
    rows, columns = shape
    masks = [np.zeros(shape, dtype=bool)]
    for top in range(1 - window, rows):
        for left in range(1 - window, columns):
            mask = np.zeros(shape, dtype=bool)
            mask[max(0, top) : top + window, max(0, left) : left + window] = True
            masks.append(mask)
    scores = score(masks)
    covered, drops = np.stack(masks[1:]), scores[0] - scores[1:]
    return float(scores[0]), (covered * drops[:, None, None]).sum(axis=0) / covered.sum(axis=0)


@dataclass(frozen=True)
class Curves:
    """Log-probabilities while cells are hidden or shown, order by order.

    Attributes:
        shares: (steps,) shares of cells, from 0 to 1.
        scores: (orders, steps, 2) with the first cells of an order hidden (deletion), and shown alone (insertion).
    """

    shares: Array
    scores: Array

    @property
    def areas(self) -> Array:
        """(orders, 2) areas under the curves."""
        from scipy.integrate import trapezoid

        return np.asarray(trapezoid(self.scores, self.shares, axis=1))


def curves(score: Score, orders: Sequence[NDArray[np.intp]], shape: tuple[int, int], steps: int = STEPS) -> Curves:
    """The curves of some orders of the cells; asks for 2 (steps + 1) scores an order."""
    cells = shape[0] * shape[1]
    counts = np.round(np.linspace(0, cells, min(steps, cells) + 1)).astype(int)
    masks = []
    for order in orders:
        place = np.empty(cells, dtype=int)
        place[order] = np.arange(cells)
        for count in counts:
            first = (place < count).reshape(shape)
            masks += [first, ~first]
    return Curves(counts / cells, score(masks).reshape(len(orders), len(counts), 2))


def by_chance(score: Score, shape: tuple[int, int], orders: int = ORDERS, steps: int = STEPS, seed: int = 17) -> Curves:
    """The curves of random orders: what every map of a picture and phrase is measured against."""
    chance = np.random.default_rng(seed)
    return curves(score, [chance.permutation(shape[0] * shape[1]) for _ in range(orders)], shape, steps)


def faithfulness(score: Score, heat: Array, random: Curves | None = None, seed: int = 17) -> Faithfulness:
    """The deletion and insertion test.

    Args:
        random: the curves of random orders, where they are known; else they are asked for.
    """
    rows, columns = heat.shape
    random = by_chance(score, (rows, columns), seed=seed) if random is None else random
    steps = len(random.shares) - 1
    own = curves(score, [np.argsort(-heat.ravel(), kind="stable")], (rows, columns), steps)
    areas = np.concatenate([own.areas, random.areas])
    return Faithfulness(
        shares=own.shares,
        deletion=own.scores[0, :, 0],
        insertion=own.scores[0, :, 1],
        random_deletion=random.scores[:, :, 0].mean(axis=0),
        random_insertion=random.scores[:, :, 1].mean(axis=0),
        p_deletion=float((areas[:, 0] <= areas[0, 0]).mean()),
        p_insertion=float((areas[:, 1] >= areas[0, 1]).mean()),
    )
