from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from counterveil.errors import ImageBrokenError
from counterveil.images import load
from tests.corpus import chunk, grey_tags, picture, png_of, saved, tiff_of

RGB = picture()


def pixels(data: bytes) -> np.ndarray:
    """Of the plain view, which comes first; the other views are tested in ``test_views``."""
    plain, *others = load(data)
    assert plain.pixels.dtype == np.uint8 and plain.pixels.shape[2] == 3
    assert plain.view == "" and all(other.view for other in others)
    return plain.pixels


def notes(data: bytes) -> str:
    return "; ".join(load(data)[0].notes)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("BMP", {}),
    ],
)
def test_lossless_rgb_comes_through_exactly(format, options):
    data = saved(RGB, format, **options)
    assert np.array_equal(pixels(data), RGB)
    assert notes(data) == ""


def test_avif_is_read_where_pillow_can():
    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    got = pixels(saved(RGB, "AVIF", quality=95))
    assert np.abs(got.astype(int) - RGB).mean() < 8


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF", "BMP"])
def test_narrow_modes_equal_their_rgb(mode, format):
    image = Image.fromarray(RGB).convert(mode)
    assert np.array_equal(pixels(saved(image, format)), np.array(image.convert("RGB")))


def test_a_colour_profile_changes_no_pixel_and_is_noted():
    data = saved(RGB, "PNG", icc_profile=b"no real profile")
    assert np.array_equal(pixels(data), RGB)
    assert "colour profile was dropped" in notes(data)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(format):
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3], rgba[10:20, :, 3] = 0, 128
    rgba[:10, :, :3] = 200  # one colour under the clear part: nothing hidden
    data = saved(Image.fromarray(rgba), format, **({"lossless": True} if format == "WEBP" else {}))
    got = pixels(data)
    assert (got[:10] == 255).all()
    half = RGB[10:20] * (128 / 255) + 255 * (127 / 255)
    assert np.abs(got[10:20] - half).max() <= 1
    assert np.array_equal(got[20:], RGB[20:])
    assert "laid on white" in notes(data)


def test_opaque_alpha_is_not_worth_a_note():
    data = saved(Image.fromarray(RGB).convert("RGBA"), "PNG")
    assert np.array_equal(pixels(data), RGB)
    assert notes(data) == ""


def test_grey_with_alpha():
    grey = Image.fromarray(RGB[..., 0])
    clear = Image.new("L", grey.size, 0)
    grey.putalpha(clear)
    assert (pixels(saved(grey, "PNG")) == 255).all()


def test_a_palette_with_transparency():
    image = Image.fromarray(RGB).convert("P")
    indices = np.array(image)
    got = pixels(saved(image, "PNG", transparency=int(indices[0, 0])))
    assert (got[indices == indices[0, 0]] == 255).all()
    kept = indices != indices[0, 0]
    assert np.array_equal(got[kept], np.array(image.convert("RGB"))[kept])


def test_a_transparent_colour_of_16_bits():
    wide = np.full((4, 4, 3), 0x1234, ">u2")
    wide[0] = 0xFFF0
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)
    key = chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x1234, 0x1234))
    got = pixels(png_of((4, 4, 16, 2), zlib.compress(rows), extra=key))
    assert (got[1:] == 255).all()
    assert (got[0] >= 254).all()


def test_16_bit_grey_is_scaled_not_clipped():
    wide = np.linspace(0, 65535, 40 * 56).reshape(40, 56).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        data = saved(Image.fromarray(wide), format)
        got = pixels(data)
        assert np.array_equal(got, np.repeat(np.rint(wide / 257).astype(np.uint8)[..., None], 3, 2))
        assert "16 bits" in notes(data)


def test_16_bit_colour_is_scaled():
    wide = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(">u2")
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)
    data = png_of((8, 8, 16, 2), zlib.compress(rows))
    assert np.abs(pixels(data).astype(float) - wide / 257).max() <= 1
    assert "16 bits" in notes(data)


def test_12_bit_grey_uses_the_whole_range():
    tags = {**grey_tags(2, 2), 258: (3, 1, 12), 279: (4, 1, 6)}
    data = tiff_of(tags, pixels=b"\xff\xf0\x00\x80\x0f\xff")
    assert pixels(data)[..., 0].tolist() == [[255, 0], [128, 255]]


def test_grey_tiff_whose_zero_is_white():
    tags = {**grey_tags(2, 1), 258: (3, 1, 16), 262: (3, 1, 0), 279: (4, 1, 4)}
    data = tiff_of(tags, pixels=struct.pack("<HH", 0, 65535))
    assert pixels(data)[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-100.0, 0.0, 100.0], [0, 128, 255]),
        ([0.0, np.nan, 1.0], [0, 0, 255]),
        ([0.0, np.inf, 10.0], [0, 255, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
    ],
)
def test_floating_point_is_scaled_and_the_range_noted(values, grey):
    data = saved(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert pixels(data)[0, :, 0].tolist() == grey
    assert "scaled" in notes(data)


def test_floating_point_without_a_number():
    with pytest.raises(ImageBrokenError, match="number"):
        load(saved(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


def test_32_bit_grey_is_stretched():
    wide = np.array([[-5, 0, 5]], np.int32)
    assert pixels(saved(Image.fromarray(wide), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(format):
    flat = np.zeros((16, 16, 3), np.uint8) + np.array([200, 40, 90], np.uint8)
    data = saved(Image.fromarray(flat).convert("CMYK"), format)
    if format == "JPEG":
        assert b"Adobe" in data  # stored inverted, as Photoshop does
    assert np.abs(pixels(data).astype(int) - flat).max() <= 4
    assert "CMYK" in notes(data)


def test_ycbcr_tiff():
    data = saved(Image.fromarray(RGB).convert("YCbCr"), "TIFF")
    assert np.abs(pixels(data).astype(int) - RGB).max() <= 3


def test_colours_that_are_not_read_are_named():
    with pytest.raises(ImageBrokenError, match="mode LAB"):
        load(saved(Image.new("LAB", (4, 4)), "TIFF"))


def _tagged(format: str, orientation: int) -> bytes:
    if format == "TIFF":
        return saved(RGB, "TIFF", tiffinfo={274: orientation})
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    return saved(RGB, format, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_applied_once(format, orientation):
    data = _tagged(format, orientation)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(pixels(data), upright)
    assert upright.shape[:2] == ((56, 40) if orientation >= 5 else (40, 56))
    assert ("turned upright" in notes(data)) == (orientation > 1)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    assert np.array_equal(pixels(_tagged("PNG", orientation)), RGB)
