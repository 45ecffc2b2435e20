"""Images from strangers: what is looked at before a decoder sees them, and the decoding in a process that can be ended.

What comes out is a new PNG of the pixels alone, so that no metadata (place, camera, name) and no second file hidden
in the first goes any further.
"""

import io
import re
import resource
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from anyio import to_process
from PIL import Image, UnidentifiedImageError

from skinr1.errors import UserError
from skinr1.images import MAX_PIXELS, PIXELS_PER_TOKEN_SIDE, decode_image, fit, png_bytes
from skinr1.serving.gateway.faults import Refused
from skinr1.serving.quality import Statistics, measure

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
TAKEN = "give PNG, JPEG, WebP or BMP"
WORKER_BYTES = 4 * 2**30
HEAD, TAIL = 1024, 65_557  # where readers of PDF and ZIP look for their marks
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKUP = re.compile(rb"<\s*(?:svg|html|script|!doctype|\?xml|\?php)", re.IGNORECASE)


def inspect(data: bytes, where: str) -> tuple[int, int]:
    """Width and height, read from the header alone.

    Raises:
        UserError: of no accepted format, animated, truncated, too large, or a file of another kind at the same time.
    """
    if _MARKUP.match(data[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")):
        raise UserError("this is a drawing or a page (SVG, HTML), not a photograph", where, f"Please {TAKEN}.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind, size = image.format, image.size
            # a phone's JPEG with a second picture for bright screens is an MPO; its first picture is the photograph
            moving = kind != "MPO" and getattr(image, "n_frames", 1) > 1
    except UnidentifiedImageError:
        raise UserError("not an image of an accepted format", where, f"Please {TAKEN}.") from None
    except Image.DecompressionBombError:
        raise UserError("image is too large", where, f"At most {MAX_PIXELS // 10**6} megapixels.") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
        raise UserError(f"image header is damaged ({type(error).__name__})", where, "Please export it anew.") from None
    if moving:
        raise UserError("image is animated", where, "Please give a single picture.")
    if size[0] * size[1] > MAX_PIXELS:
        told = f"image is too large ({size[0]} x {size[1]} px)"
        raise UserError(told, where, f"At most {MAX_PIXELS // 10**6} megapixels.")
    _check_whole(data, str(kind), where)
    return size


def _check_whole(data: bytes, kind: str, where: str) -> None:
    end = {"PNG": _png_end, "JPEG": _jpeg_end, "MPO": _jpeg_end, "WEBP": _webp_end}.get(kind, len)(data)
    if end is None or end > len(data):
        raise UserError("image is truncated", where, "Please send the whole file.")
    if other := _second_file(data, end):
        raise UserError(f"the file is an image and {other} at the same time", where, "Please export the picture anew.")


def _second_file(data: bytes, end: int) -> str | None:
    """What else the file would pass for, by the places where readers of that kind look."""
    behind = data[end:]
    if b"%PDF-" in data[:HEAD] or b"%PDF-" in behind:
        return "a PDF"
    if b"PK\x05\x06" in data[-TAIL:] or b"PK\x03\x04" in behind:
        return "a ZIP archive"
    if _MARKUP.search(data[:HEAD]) or _MARKUP.search(behind):
        return "a page or script"
    if any(mark in behind for mark in (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x7fELF", b"#!/")):
        return "an archive or program"
    return "a film" if b"ftyp" in behind[:64] else None


def _png_end(data: bytes) -> int | None:
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        kind = data[place + 4 : place + 8]
        place += 12 + length
        if kind == b"IEND":
            return place
    return None


def _jpeg_end(data: bytes) -> int | None:
    place = 2
    while marker := _JPEG_MARKER.search(data, place):
        place = marker.end()
        code = data[place - 1]
        if code == 0xD9:
            return place
        if code not in (0x01, 0xD8):
            place += int.from_bytes(data[place : place + 2])  # entropy-coded data behind SOS hold no marker
    return None


def _webp_end(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


@dataclass(frozen=True)
class Picture:
    """A clean PNG, and what was measured of the picture before it was fitted to a budget."""

    png: bytes
    statistics: Statistics


@dataclass(frozen=True)
class _Outcome:
    """What a worker says; an exception of ours would not survive the way back."""

    picture: Picture | None = None
    fault: str = ""


def clean(data: bytes, where: str, max_pixels: int | None) -> _Outcome:
    """A PNG of the pixels alone, upright, fitted to the pixel budget the way the training images were.

    Runs in a worker process, whose memory is bounded.
    """
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))
    try:
        inspect(data, where)
        image = decode_image(data, where)
        statistics = measure(image)
        if max_pixels is not None:
            image = fit(image, max(1, max_pixels // PIXELS_PER_TOKEN_SIDE**2))
        return _Outcome(Picture(png_bytes(image), statistics))
    except UserError as error:
        return _Outcome(fault=str(error))
    except MemoryError:
        return _Outcome(fault=f"image needs more memory than allowed: {where}. Please give a smaller one.")


async def clean_all(images: Sequence[bytes], seconds: float, max_pixels: int | None) -> list[Picture]:
    """The images of one request, clean, one after the other, in at most ``seconds`` together.

    Raises:
        Refused: one of them is refused, or the time is over; then the worker is killed.
    """
    done: list[Picture] = []
    try:
        with anyio.fail_after(seconds):
            for number, data in enumerate(images, 1):
                outcome = await to_process.run_sync(clean, data, f"image {number}", max_pixels, cancellable=True)
                if outcome.picture is None:
                    raise Refused(400, "image", outcome.fault)
                done.append(outcome.picture)
    except TimeoutError:
        raise Refused(400, "image_time", f"the images took longer than {seconds:g} s to decode") from None
    except anyio.BrokenWorkerProcess:
        raise Refused(400, "image", "an image could not be decoded") from None
    return done
