"""Pictures of every awkward kind come out as upright RGB, or as one line that says what is wrong."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skinr1.errors import UserError
from skinr1.images import decode_image, fit, grid_size, load_image, png_bytes, prepare, read_png


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(width: int = 64, height: int = 48) -> Image.Image:
    x = np.linspace(0, 255, width, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(x, (height, 1)), np.full((height, width), 90, np.uint8)] * 2, 2)[..., :3])


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[274] = 6  # rotate 90 degrees to see it upright
    assert decode_image(encode(picture(), "JPEG", exif=exif), "x").size == (48, 64)


def test_16_bit_grey_is_scaled_not_clipped():
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    grey = np.asarray(decode_image(encode(Image.fromarray(ramp)), "x"))[0, :, 0]
    assert grey[0] == 0 and grey[-1] == 255 and abs(int(grey[32]) - 129) <= 2


def test_float_image_is_scaled():
    values = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    assert np.asarray(decode_image(encode(Image.fromarray(values), "TIFF"), "x")).max() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_goes_over_white(mode):
    clear = Image.new(mode, (40, 40), 0)
    assert decode_image(encode(clear), "x").getpixel((5, 5)) == (255, 255, 255)


def test_palette_transparency_goes_over_white():
    image = Image.new("P", (40, 40), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    assert decode_image(encode(image, transparency=0), "x").getpixel((5, 5)) == (255, 255, 255)
    assert decode_image(encode(image), "x").getpixel((5, 5)) == (200, 0, 0)


def test_cmyk_keeps_its_colour():
    red = decode_image(encode(Image.new("RGB", (40, 40), (200, 30, 30)).convert("CMYK"), "JPEG", quality=95), "x")
    assert np.abs(np.array(red.getpixel((20, 20))) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"this is text", "not an image"),
        (b"", "not an image"),
        (encode(picture(200, 200), "JPEG")[:1200], "truncated"),
        (encode(picture(300, 300))[:500], "truncated"),
        (encode(Image.new("RGB", (1, 1))), "too small"),
        (encode(Image.new("RGB", (27, 400))), "too small"),
        (encode(Image.new("L", (20000, 30))), "too thin"),
        (encode(Image.new("1", (20000, 20000))), "too large"),
        (encode(Image.new("1", (10000, 6000))), "too large"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_pictures_give_one_line(data, reason):
    with pytest.raises(UserError, match=reason) as caught:
        decode_image(data, "lesion.png")
    assert "lesion.png" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="not found"):
        load_image(tmp_path / "none.png")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data):
    whole = bytearray(encode(picture(), data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_image(bytes(whole), "x").mode == "RGB"
    except UserError:
        pass


@given(st.integers(28, 4000), st.integers(28, 4000), st.integers(1, 300))
def test_grid_keeps_to_the_budget(width, height, budget):
    columns, rows = grid_size(width, height, budget)
    assert columns >= 1 and rows >= 1 and columns * rows <= budget


@pytest.mark.parametrize(
    ("size", "budget", "grid"),
    [((1000, 1000), 16, (4, 4)), ((4000, 3000), 12, (4, 3)), ((112, 112), 400, (4, 4)), ((400, 28), 4, (4, 1))],
)
def test_grid_keeps_the_aspect(size, budget, grid):
    assert grid_size(*size, budget) == grid


def test_fit_makes_whole_tokens_and_leaves_a_fitting_picture_alone():
    assert fit(picture(500, 300), 15).size == (140, 84)
    exact = picture(112, 112)
    assert fit(exact, 16) is exact


def test_budget_under_one():
    with pytest.raises(UserError, match="max_tokens"):
        fit(picture(), 0)


def test_prepare_strips_metadata_and_repeats_its_bytes(tmp_path: Path):
    exif = Image.Exif()
    exif[315] = "a patient's name"
    source = tmp_path / "in.jpg"
    source.write_bytes(encode(picture(), "JPEG", exif=exif, comment=b"secret"))
    prepare(source, tmp_path / "a.png", 16)
    prepare(source, tmp_path / "b.png", 16)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert {data[i : i + 4] for i in (12,)} == {b"IHDR"} and b"eXIf" not in data and b"tEXt" not in data
    assert not Image.open(tmp_path / "a.png").info


def test_a_plain_png_is_passed_on_as_it_is(tmp_path):
    prepare_from, prepared = tmp_path / "a.jpg", tmp_path / "a.png"
    prepare_from.write_bytes(encode(picture(), "JPEG"))
    prepare(prepare_from, prepared, 20)
    assert read_png(prepared) == prepared.read_bytes() == png_bytes(load_image(prepared))
    prepared.write_bytes(encode(picture(), compress_level=1))  # the same pixels, packed otherwise
    assert read_png(prepared) == prepared.read_bytes() != png_bytes(load_image(prepared))


@pytest.mark.parametrize(
    "data",
    [
        encode(picture(), "JPEG"),
        encode(picture().convert("RGBA")),
        encode(picture().convert("L")),
        encode(picture().convert("P")),
        encode(picture(), dpi=(72, 72)),
        encode(picture(), exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"),
        encode(picture()) + b"more",
    ],
    ids=["JPEG", "alpha", "grey", "palette", "resolution", "EXIF", "trailing bytes"],
)
def test_any_other_picture_is_encoded_anew(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert read_png(tmp_path / "a") == png_bytes(load_image(tmp_path / "a"))
    assert read_png(tmp_path / "a") != data


@settings(deadline=None)
@given(st.integers(0, len(encode(picture())) - 1), st.integers(1, 255))
def test_no_damaged_png_is_passed_on(tmp_path_factory, place, change):
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    data = bytearray(encode(picture()))
    whole = bytes(data)
    data[place] ^= change
    for damaged in (bytes(data), whole[:place]):
        path.write_bytes(damaged)
        try:
            assert read_png(path) == png_bytes(load_image(path)) != damaged
        except UserError:
            pass


def test_a_plain_png_of_a_wrong_size_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(picture(64, 8)))
    with pytest.raises(UserError, match="too small"):
        read_png(tmp_path / "a.png")
    with pytest.raises(UserError, match="not found"):
        read_png(tmp_path / "b.png")
