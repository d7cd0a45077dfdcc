"""Input carries secrets beside its pixels; what is released must carry none of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from counterveil.atomic import write_atomic
from counterveil.fills import fill
from counterveil.images import decode_clean, encode_mask, encode_png, load
from tests.corpus import picture, saved

RGB = picture()
SECRETS = (b"S3CRET-exif", b"S3CRET-icc", b"S3CRET-xmp", b"S3CRET-text", b"S3CRET-tail", b"Exif")


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[270] = "S3CRET-exif"
    exif[315] = "S3CRET-exif"
    exif[37510] = b"S3CRET-exif " + saved(RGB[::4, ::4], "JPEG")  # as a thumbnail would be
    return exif


def _text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "S3CRET-text")
    text.add_itxt("XML:com.adobe.xmp", "S3CRET-xmp")
    return text


def _inputs() -> dict[str, bytes]:
    icc, xmp = b"S3CRET-icc" * 20, b"<x:xmpmeta>S3CRET-xmp</x:xmpmeta>"
    files = {
        "a.png": saved(RGB, "PNG", exif=_exif(), icc_profile=icc, pnginfo=_text()),
        "a.jpg": saved(RGB, "JPEG", exif=_exif(), icc_profile=icc, xmp=xmp, comment="S3CRET-text"),
        "a.webp": saved(RGB, "WEBP", lossless=True, exif=_exif(), icc_profile=icc, xmp=xmp),
        "lossy.webp": saved(RGB, "WEBP", quality=70, exif=_exif(), icc_profile=icc, xmp=xmp),
        "a.tif": saved(RGB, "TIFF", tiffinfo={270: "S3CRET-exif", 700: xmp}, icc_profile=icc),
        "a.gif": saved(RGB, "GIF", comment=b"S3CRET-text"),
        "a.bmp": saved(RGB, "BMP"),
    }
    return {name: data + b"S3CRET-tail" for name, data in files.items()}


INPUTS = _inputs()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("paint", ["black", "#12ab9f"])
def test_safe_pixels_are_exact_and_nothing_else_survives(name, paint, tmp_path):
    data = INPUTS[name]
    assert any(secret in data for secret in SECRETS)
    with Image.open(io.BytesIO(data)) as image:
        decoded = np.array(image.convert("RGB"))
    mask = np.random.default_rng(1).random(decoded.shape[:2]) < 0.4
    frame, *_ = load(data, name=name)  # a thumbnail may follow
    veiled = fill(paint)(frame.pixels, mask[None])[0]
    path = tmp_path / "veiled.png"
    path.write_bytes(data)  # even where the original lay
    write_atomic(path, encode_png(veiled))
    written = path.read_bytes()

    assert np.array_equal(decode_clean(written)[~mask], decoded[~mask])
    assert len(np.unique(decode_clean(written)[mask], axis=0)) == 1
    for secret in SECRETS:
        assert secret not in written
        assert secret not in encode_mask(mask)
    with Image.open(io.BytesIO(written)) as image:
        image.load()
        assert image.info == {} and not image.getexif()


def test_the_hidden_pixels_change_no_byte_of_the_file():
    mask = np.zeros(RGB.shape[:2], bool)
    mask[5:30, 10:40] = True
    other = np.where(mask[..., None], np.random.default_rng(2).integers(0, 256, RGB.shape), RGB)
    black = fill("black")
    files = {encode_png(black(image.astype(np.uint8), mask[None])[0]) for image in (RGB, other)}
    assert len(files) == 1
