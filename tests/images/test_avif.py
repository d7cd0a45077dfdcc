"""AVIF: what Pillow does not show is assessed or named."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, features

from counterveil.images import load
from tests.corpus import saved
from tests.images.test_views import flagged, flat, scene

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def full_box(name: bytes, body: bytes, version: int = 0) -> bytes:
    return box(name, bytes((version, 0, 0, 0)) + body)


def items(data: bytes, *, more: tuple[bytes, ...] = (), references: bytes = b"") -> bytes:
    """The file with further items declared; the offsets in it are not mended."""
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH4s", 100 + index, 0, kind) + b"\x00", 2)
        for index, kind in enumerate(more)
    )
    start = data.index(b"iinf") - 4
    size = struct.unpack_from(">I", data, start)[0]
    count = struct.unpack_from(">H", data, start + 12)[0] + len(more)
    inner = data[start + 14 : start + size] + entries
    new = full_box(b"iinf", struct.pack(">H", count) + inner)
    if references:
        new += full_box(b"iref", references)
    return data[:start] + new + data[start + size :]


def named(data: bytes) -> str:
    from counterveil.images.limits import Limits
    from counterveil.images.structure import read_layout

    meta = data.index(b"meta") - 4
    # The size of the box around the items
    end = data.index(b"mdat") - 4
    data = data[:meta] + struct.pack(">I", end - meta) + data[meta + 4 :]
    return "; ".join(read_layout(data, "AVIF", Limits()).not_assessed)


def test_an_animation_with_another_still_picture():
    still = saved(Image.fromarray(scene()), "AVIF", quality=95)
    moving = saved(
        Image.fromarray(flat()),
        "AVIF",
        save_all=True,
        append_images=[Image.fromarray(flat((1, 2, 3)))],
    )
    assert [frame.released for frame in load(moving)] == [True, True]  # its still picture is known
    as_still = moving.replace(b"ftypavis", b"ftypavif", 1)
    frames = load(as_still)
    assert [(frame.view, frame.released) for frame in frames] == [
        ("", True),
        ("animation, frame 1", False),
    ]
    assert flagged(still) == {"0": True}


def test_further_items_are_named():
    data = saved(Image.fromarray(flat()), "AVIF")
    assert named(data) == ""
    assert named(items(data, more=(b"Exif", b"mime"))) == ""
    assert "1 further picture in the file" in named(items(data, more=(b"av01",)))
    assert "2 further pictures in the file" in named(items(data, more=(b"av01", b"tmap")))


def test_tiles_and_alpha_are_parts_of_the_picture():
    data = saved(Image.fromarray(flat()), "AVIF")
    primary = struct.unpack_from(">H", data, data.index(b"pitm") + 8)[0]
    tiles = box(b"dimg", struct.pack(">HHH", primary, 1, 100))
    alpha = box(b"auxl", struct.pack(">HHH", 101, 1, primary))
    both = items(data, more=(b"av01", b"av01"), references=tiles + alpha)
    assert named(both) == ""
    thumbnail = box(b"thmb", struct.pack(">HHH", 100, 1, primary))
    assert "further picture" in named(items(data, more=(b"av01",), references=thumbnail))


def test_colours_beyond_srgb_and_a_crop_are_named():
    data = saved(Image.fromarray(flat()), "AVIF")
    at = data.index(b"colrnclx") + 8
    wide = data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :]
    assert "nclx 9, 16" in "; ".join(load(wide)[0].not_assessed)
    assert load(data)[0].not_assessed == ()
    assert "crop" in named(data.replace(b"pixi", b"clap", 1))


def test_premultiplied_alpha_is_named():
    clear = np.dstack([scene(), np.zeros(scene().shape[:2], np.uint8)])
    straight = saved(Image.fromarray(clear), "AVIF", quality=95)
    assert flagged(straight)["0 alpha ignored"]
    data = saved(Image.fromarray(clear), "AVIF", quality=95, alpha_premultiplied=True)
    assert "premultiplied" in "; ".join(load(data)[0].not_assessed)
