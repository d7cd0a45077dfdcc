"""Animations whose frames Pillow composes unlike browsers: each hides a scene in that way."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from counterveil.images import load
from tests.corpus import chunk, saved
from tests.images.test_views import GREY, RED, SIZE, flagged, flat, scene
from tests.pipeline.detectors import ColourDetector

WHITE = (255, 255, 255)
COLOURS = (GREY, RED, WHITE, (0, 0, 0))
HEIGHT, WIDTH = SIZE
BACKGROUND = "on the background colour, composed as browsers do"


def gif_of(
    *frames: tuple[np.ndarray, int],
    at: tuple[int, int] = (0, 0),
    background: int = 0,
    transparent: int | None = None,
) -> bytes:
    """A GIF of index arrays into COLOURS, each with its disposal."""
    palette = bytes(channel for colour in COLOURS for channel in colour)
    parts = [b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0x81, background, 0) + palette]
    for indices, disposal in frames:
        image = Image.fromarray(indices, "P")
        image.putpalette(palette)
        data = saved(image, "GIF", optimize=False)
        start = data.rindex(b"," + struct.pack("<HHHH", 0, 0, *indices.shape[::-1]))
        size = 3 << ((data[start + 9] & 7) + 1) if data[start + 9] & 128 else 0
        place = struct.pack("<BHHHHB", 44, *at, *indices.shape[::-1], data[start + 9] & 64)
        flags = disposal << 2 | (transparent is not None)
        control = struct.pack("<BBBBHBB", 33, 249, 4, flags, 0, transparent or 0, 0)
        parts.append(control + place + data[start + 10 + size : -1])
    return b"".join((*parts, b";"))


def indices(colour: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width), colour, np.uint8)


def test_what_a_gif_clears_is_transparent_to_browsers():
    # Pillow clears to grey, the background colour; browsers show the page, which may be black.
    black = ColourDetector((0, 0, 0))
    data = gif_of((indices(0), 2), (indices(2, 4, 4), 0))
    got = flagged(data, black)
    assert got["1 on black, composed as browsers do"]
    assert not got["1"]


def test_what_a_gif_clears_is_the_background_colour_to_other_programs():
    data = gif_of((indices(0), 2), (indices(2, 4, 4), 0), background=1, transparent=3)
    got = flagged(data)
    assert got[f"1 {BACKGROUND}"]
    assert not any(value for name, value in got.items() if name != f"1 {BACKGROUND}")


def test_a_gif_whose_first_frame_does_not_cover_the_canvas():
    got = flagged(gif_of((indices(0, 4, 4), 0), at=(3, 2), background=1))
    assert got[f"0 {BACKGROUND}"]
    assert not got["0"]


def test_a_disposal_that_only_an_earlier_frame_asks_for():
    # The second frame stays in browsers. Pillow clears it too, before the third.
    drawn = indices(0)
    drawn[10:30, 15:40] = 1
    data = gif_of((indices(0), 2), (drawn, 0), (indices(2, 4, 4), 0))
    got = flagged(data)
    assert got["2 composed as browsers do"]
    assert not got["2"]


def test_a_gif_that_keeps_its_frames_has_one_view_each():
    frames = load(gif_of((indices(0), 1), (indices(2, 4, 4), 0)))
    assert [frame.view for frame in frames] == ["", ""]


def apng_of(layers: list[np.ndarray], blend: int, disposal: int = 0) -> bytes:
    """An APNG of RGBA layers."""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 6, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", len(layers), 0)),
    ]
    number = 0
    for index, layer in enumerate(layers):
        control = (number, WIDTH, HEIGHT, 0, 0, 1, 10, disposal, blend)
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
        number += 1
        rows = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in layer))
        if index:
            rows = struct.pack(">I", number) + rows
            number += 1
        parts.append(chunk(b"fdAT" if index else b"IDAT", rows))
    return b"".join((*parts, chunk(b"IEND", b"")))


def faint(alpha: int) -> np.ndarray:
    colours = scene(RED, WHITE)
    drawn = (colours == RED).all(axis=-1)
    return np.dstack([flat(WHITE) * ~drawn[..., None] + colours * drawn[..., None], drawn * alpha])


def test_faint_layers_of_an_apng_add_up():
    layers = [faint(0).astype(np.uint8)] + [faint(60).astype(np.uint8)] * 12
    frames = load(apng_of(layers, blend=1))
    last = {frame.view: frame.pixels[20, 20].astype(int) for frame in frames if frame.frame == 12}
    alpha = 1 - (1 - 60 / 255) ** 12
    expected = np.array(WHITE) + alpha * (np.array(RED) - WHITE)
    assert np.abs(last["composed as browsers do"] - expected).max() <= 8  # 12 times rounded
    assert np.abs(last[""] - expected).max() > 100


@pytest.mark.parametrize(("blend", "disposal"), [(0, 0), (1, 1)])
def test_an_apng_that_is_composed_alike_has_no_further_view(blend, disposal):
    alpha = 255 if blend else 90
    frames = load(apng_of([faint(alpha).astype(np.uint8)] * 3, blend, disposal))
    assert not any("composed" in frame.view for frame in frames)
