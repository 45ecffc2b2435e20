"""The only place that touches pixels on their way to a model: decoding, colour, orientation, size."""

import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from skinr1.errors import UserError
from skinr1.stage import write_atomic

MIN_SIDE = 28
MAX_PIXELS = 50_000_000
MAX_ASPECT = 20
PIXELS_PER_TOKEN_SIDE = 28

_PNG = b"\x89PNG\r\n\x1a\n"
_SCALE = f"Scale it to at most {MAX_PIXELS // 10**6} megapixels."
_REPLACE = "Replace the file, or leave it out."
# Formats that need no external program and cannot start one.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")
# What Pillow raises on damaged data, one format or another.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def load_image(path: Path) -> Image.Image:
    """Reads a picture as RGB, upright.

    Raises:
        UserError: missing, no image, truncated, too small, too large or too thin; the message says which.
    """
    if not path.is_file():
        raise UserError("image not found", str(path), "Correct the path, or leave it out.")
    return decode_image(path.read_bytes(), str(path))


def decode_image(data: bytes, where: str) -> Image.Image:
    """Decodes picture bytes as RGB, upright: EXIF orientation applied, alpha over white, 16 bits scaled to 8.

    Size limits are checked on the header, before any pixel is decoded.

    Args:
        where: what the message names, such as the path or the upload.

    Raises:
        UserError: as :func:`load_image`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise UserError("not an image, or of an unsupported format", where, _REPLACE) from None
    except Image.DecompressionBombError:
        raise UserError("image is too large", where, _SCALE) from None
    except _DAMAGE as error:
        raise UserError(f"image header is damaged ({error})", where, _REPLACE) from None
    _check_size(image.width, image.height, where)
    try:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except _DAMAGE as error:
        raise UserError(f"image is truncated or damaged ({error})", where, _REPLACE) from None


def _check_size(width: int, height: int, where: str) -> None:
    small, large = sorted((width, height))
    size = f"{width} x {height} px"
    if small < MIN_SIDE:
        raise UserError(f"image is too small ({size})", where, f"Give one of at least {MIN_SIDE} px a side.")
    if width * height > MAX_PIXELS:
        raise UserError(f"image is too large ({size})", where, _SCALE)
    if large > MAX_ASPECT * small:
        raise UserError(f"image is too thin ({size})", where, f"Crop it to an aspect of at most {MAX_ASPECT}:1.")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bit(np.asarray(image)), "L").convert("RGB")
    if image.mode == "P" or image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """16-bit grey levels scaled by 257 (65535 -> 255); floats are taken as 0..1 unless they exceed it."""
    if values.dtype.kind == "f":
        numbers = np.nan_to_num(values)
        top = 1.0 if numbers.max(initial=0.0) <= 1.0 else 255.0 if numbers.max() <= 255 else 65535.0
        return np.clip(numbers / top * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.clip((values.astype(np.int64) + 128) // 257, 0, 255).astype(np.uint8)


def grid_size(
    width: int, height: int, max_tokens: int, pixels_per_token_side: int = PIXELS_PER_TOKEN_SIDE
) -> tuple[int, int]:
    """Columns and rows of visual tokens for a picture of this shape.

    Of the grids around the ideal one, that with the best aspect and, half as weighty, the best use of the budget. A
    small picture is not blown up beyond the next whole token; each side has at least one.

    Raises:
        UserError: the budget is under 1.
    """
    if max_tokens < 1:
        raise UserError("visual token budget is under 1", str(max_tokens), "Give max_tokens of at least 1.")
    aspect = width / height
    shrink = min(1.0, math.sqrt(max_tokens * pixels_per_token_side**2 / (width * height)))
    columns = max(1.0, width * shrink / pixels_per_token_side)
    rows = max(1.0, height * shrink / pixels_per_token_side)
    choices = [
        (c, r)
        for c in {max(1, math.floor(columns)), max(1, round(columns)), math.ceil(columns)}
        for r in {max(1, math.floor(rows)), max(1, round(rows)), math.ceil(rows)}
        if c * r <= max_tokens
    ]
    if not choices:  # a very thin picture: one line of tokens
        return (max_tokens, 1) if aspect > 1 else (1, max_tokens)
    area = columns * rows

    def misfit(grid: tuple[int, int]) -> float:
        return 2 * abs(math.log(grid[0] / grid[1] / aspect)) + abs(math.log(area / (grid[0] * grid[1])))

    return min(choices, key=lambda grid: (round(misfit(grid), 9), grid))


def fit(image: Image.Image, max_tokens: int, pixels_per_token_side: int = PIXELS_PER_TOKEN_SIDE) -> Image.Image:
    """Resizes (Lanczos) so that both sides are multiples of the token side and the tokens keep to the budget."""
    columns, rows = grid_size(image.width, image.height, max_tokens, pixels_per_token_side)
    target = (columns * pixels_per_token_side, rows * pixels_per_token_side)
    return image if image.size == target else image.resize(target, Image.Resampling.LANCZOS)


def png_bytes(image: Image.Image) -> bytes:
    """PNG of the pixels alone: no EXIF, no text, no colour profile."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image.convert("RGB")), "RGB").save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def read_png(path: Path) -> bytes:
    """A picture file as PNG bytes of its pixels alone, upright RGB, for a request.

    A file that is just that, as every one that :func:`prepare` wrote, is passed on as it is: to decode and encode it
    anew would give the same pixels and take most of a client's time.

    Raises:
        UserError: as :func:`load_image`.
    """
    data = path.read_bytes() if path.is_file() else b""
    size = _plain_png_size(data)
    if size is None:
        return png_bytes(load_image(path))
    _check_size(*size, str(path))
    return data


def _plain_png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a whole PNG of 8-bit RGB that holds pixels and nothing else; None for any other bytes."""
    kinds, at = [], len(_PNG)
    while data.startswith(_PNG) and at < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        content, end = data[at + 4 : at + 8 + length], at + 12 + length
        if zlib.crc32(content) != int.from_bytes(data[end - 4 : end]) or end > len(data):
            return None
        kinds.append(kind)
        at = end
    if kinds[:1] != [b"IHDR"] or kinds[-1] != b"IEND" or set(kinds[1:-1]) != {b"IDAT"}:
        return None
    width, height, *form = struct.unpack(">IIBBBBB", data[16:29])
    return (width, height) if form == [8, 2, 0, 0, 0] else None


def prepare(source_path: Path, target_path: Path, max_tokens: int) -> None:
    """Writes the picture as a model will see it: upright, RGB, within the budget, stripped of all metadata.

    Raises:
        UserError: as :func:`load_image`.
    """
    write_atomic(target_path, png_bytes(fit(load_image(source_path), max_tokens)))
