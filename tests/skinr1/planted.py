"""Leaks planted on purpose: the copies of a picture that a careless data set holds."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

Copy = Callable[[Image.Image, np.random.Generator], Image.Image]


def _resized(picture: Image.Image, share: float) -> Image.Image:
    size = (max(28, round(picture.width * share)), max(28, round(picture.height * share)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _recompressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def _cropped(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A tenth of either side is cut off, somewhere."""
    width, height = round(picture.width * 0.9), round(picture.height * 0.9)
    left = int(random.integers(0, picture.width - width + 1))
    top = int(random.integers(0, picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def _corner(picture: Image.Image) -> Image.Image:
    """The hardest crop: a tenth of either side, all from one end."""
    return picture.crop((0, 0, round(picture.width * 0.9), round(picture.height * 0.9)))


# What was done -> (how, the share that must be found)
COPIES: dict[str, tuple[Copy, float]] = {
    "exact": (lambda p, r: p.copy(), 0.99),
    "half size": (lambda p, r: _resized(p, 0.5), 0.99),
    "JPEG 30": (lambda p, r: _recompressed(p, 30), 0.99),
    "mirrored": (lambda p, r: ImageOps.mirror(p), 0.95),
    "upside down": (lambda p, r: ImageOps.flip(p), 0.95),
    "cropped": (_cropped, 0.95),
    "cropped at a corner": (lambda p, r: _corner(p), 0.95),
    "cropped, mirrored, JPEG 60": (lambda p, r: _recompressed(ImageOps.mirror(_cropped(p, r)), 60), 0.95),
    "turned 5 degrees, black": (lambda p, r: p.rotate(5, Image.Resampling.BICUBIC), 0.95),
    "turned -5 degrees, grey": (lambda p, r: p.rotate(-5, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)), 0.95),
    "quarter turn": (lambda p, r: p.transpose(Image.Transpose.ROTATE_90), 0.95),
    "without colour": (lambda p, r: p.convert("L").convert("RGB"), 0.95),
}


def texture(number: int, side: int = 160) -> Image.Image:
    """A picture of its own: a skin-coloured ground with structure at every scale and a dark patch."""
    random = np.random.default_rng(number)
    ground = random.uniform((150, 90, 70), (240, 200, 180))
    picture = np.tile(ground, (side, side, 1))
    for blur, depth in ((2, 25), (5, 60), (12, 160), (30, 400)):
        noise = gaussian_filter(random.standard_normal((side, side)), blur)
        picture += noise[:, :, None] * depth * random.uniform(0.5, 1.5, 3)
    y, x = np.mgrid[:side, :side] / side - random.uniform(0.35, 0.65, (2, 1, 1))
    patch = gaussian_filter((x**2 + y**2 * random.uniform(0.5, 2) < random.uniform(0.01, 0.06)).astype(float), 2)
    picture -= patch[:, :, None] * random.uniform(20, 90, 3)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8), "RGB")
