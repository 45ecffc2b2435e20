"""Pictures that the gateway refuses, takes, and what of them goes further."""

import asyncio
import base64
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import psutil
import pytest
from PIL import Image

from skinr1.serving.gateway import pictures
from skinr1.serving.gateway.faults import Refused
from tests.skinr1.gateway_rig import (
    FILE,
    FakeVllm,
    ask_chat,
    ask_report,
    encoded,
    photo,
)


def bomb(side: int = 60_000) -> bytes:
    """A PNG of a few kilobytes that claims to be of 3.6 gigapixels."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 10_000)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text_bomb() -> bytes:
    """A PNG whose compressed text unfolds to 64 MiB."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    whole = photo()
    return whole[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 2**26)) + whole[33:]


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "hidden")
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="%b"/></svg>' % FILE.encode()
BAD_IMAGES = {
    "bomb": (bomb(), "too large"),
    "text bomb": (text_bomb(), "damaged"),
    "svg": (SVG, "drawing or a page"),
    "svg behind spaces": (b"\n  " + SVG, "drawing or a page"),
    "html": (b"<!DOCTYPE html><script>1</script>", "drawing or a page"),
    "truncated png": (photo()[:-20], "truncated"),
    "truncated jpeg": (photo("JPEG")[:-20], "truncated"),
    "truncated webp": (photo("WEBP")[:-20], "damaged"),
    "apng": (animated("PNG"), "animated"),
    "animated webp": (animated("WEBP"), "animated"),
    "gif": (animated("GIF"), "accepted format"),
    "zip behind png": (photo() + zipped(), "ZIP archive"),
    "zip behind jpeg": (photo("JPEG") + zipped(), "ZIP archive"),
    "pdf behind jpeg": (photo("JPEG") + b"%PDF-1.7 ...", "PDF"),
    "script behind png": (photo() + b"<script>alert(1)</script>", "page or script"),
    "php in a comment": (photo("JPEG", comment=b"<?php system($_GET[0]); ?>"), "page or script"),
    "text": (b"not an image at all", "accepted format"),
    "pdf": (b"%PDF-1.7", "accepted format"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
@pytest.mark.parametrize("way", ["report", "chat"])
def test_bad_images_are_refused_with_a_reason(url: str, fake: FakeVllm, name: str, way: str) -> None:
    data, reason = BAD_IMAGES[name]
    before = len(fake.bodies)
    response = ask_report(url, data) if way == "report" else ask_chat(url, f"data:image/png;base64,{encoded(data)}")
    assert response.status_code == 400
    assert reason in response.json()["error"]["message"]
    assert len(fake.bodies) == before  # vLLM never heard of it


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "MPO"])
def test_good_images_are_taken(url: str, kind: str) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (64, 56))]} if kind == "MPO" else {}
    assert ask_report(url, photo(kind, **more)).status_code == 200


def test_decoding_has_a_budget_and_the_worker_is_killed() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(buffer, "PNG", compress_level=1)  # small as a file, slow to decode and encode

    async def decode() -> None:
        await pictures.clean_all([photo()], 60, None)
        [worker] = workers()
        with pytest.raises(Refused, match=r"longer than 0\.05 s"):
            await pictures.clean_all([buffer.getvalue()], 0.05, None)
        while worker in workers():
            await asyncio.sleep(0.01)
        await pictures.clean_all([photo()], 60, None)  # the next has a new one

    before = {child.pid for child in psutil.Process().children()}

    def workers() -> list[int]:
        alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        return [child.pid for child in alive if child.pid not in before]

    asyncio.run(asyncio.wait_for(decode(), 60))


def test_metadata_goes_no_further(url: str, fake: FakeVllm, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    data = photo("JPEG", exif=exif, comment=b"Jane Doe")
    assert b"SecretCamera" in data
    assert ask_report(url, data).status_code == 200
    sent = json.dumps(fake.bodies[-1])
    address = sent.split("base64,")[1].split('"')[0]
    clean = base64.b64decode(address)
    assert b"SecretCamera" not in clean
    assert b"Jane Doe" not in clean
    assert not Image.open(io.BytesIO(clean)).getexif()
