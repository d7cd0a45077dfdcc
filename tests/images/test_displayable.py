"""Damaged files that every browser shows are examined, with a note."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from counterveil.errors import ImageBrokenError
from counterveil.images import load
from tests.corpus import animated_files, chunk, picture, png_of, saved
from tests.hidden import swapped_profile
from tests.images.test_views import RED, flagged, scene

ROWS = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in picture()))
SCENE = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in scene()))


def wrong(name: bytes, body: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return chunk(name, body)[:-4] + b"\xde\xad\xbe\xef"


@pytest.mark.parametrize("name", [b"tEXt", b"pHYs", b"tIME", b"zTXt", b"sRGB", b"prVt"])
def test_a_png_with_a_wrong_checksum_of_an_ancillary_chunk(name):
    (frame,) = load(png_of((56, 40, 8, 2), ROWS, extra=wrong(name, b"note\x00 what is not zlib")))
    assert np.array_equal(frame.pixels, picture())
    assert frame.notes == (f"the checksum of its chunk {name.decode()} is wrong",)


def test_several_wrong_checksums():
    extra = wrong(b"tEXt", b"a\x00b") + wrong(b"pHYs", b"")
    (frame,) = load(png_of((56, 40, 8, 2), ROWS, extra=extra))
    assert frame.notes == ("the checksum of its chunks tEXt, pHYs is wrong",)


def test_a_chunk_that_changes_the_look_is_followed_and_ignored():
    red = struct.pack(">HHH", *RED)
    got = flagged(png_of((56, 40, 8, 2), SCENE, extra=wrong(b"tRNS", red)))
    assert got == {"0": False, "0 on black": False, "0 alpha ignored": True}
    profile = wrong(b"iCCP", b"p\x00\x00" + zlib.compress(swapped_profile()))
    blue = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in scene((20, 20, 220))))
    got = flagged(png_of((56, 40, 8, 2), blue, extra=profile))
    assert got == {"0": False, "0 colour profile applied": True}


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_a_critical_chunk_stays_broken(name):
    data = saved(Image.fromarray(picture()).convert("P"), "PNG")
    at = data.index(name)
    end = at + 4 + struct.unpack_from(">I", data, at - 4)[0]
    data = data[:end] + b"\xde\xad\xbe\xef" + data[end + 4 :]
    with pytest.raises(ImageBrokenError, match=f"checksum of its {name.decode()} chunk"):
        load(data)


@pytest.mark.parametrize("name", [b"acTL", b"fcTL", b"fdAT"])
def test_a_wrong_checksum_of_a_frame_stays_broken(name):
    data = animated_files(3)["moving.png"]
    at = data.rindex(name)
    end = at + 4 + struct.unpack_from(">I", data, at - 4)[0]
    with pytest.raises(ImageBrokenError, match=f"checksum of its {name.decode()} chunk"):
        load(data[:end] + b"\xde\xad\xbe\xef" + data[end + 4 :])


def test_a_transparency_that_stands_twice_is_named():
    keys = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)) * 2
    frames = load(png_of((56, 40, 8, 2), ROWS, extra=keys))
    assert any("stands twice" in sentence for sentence in frames[0].not_assessed)


@pytest.mark.parametrize(("depth", "kind"), [(8, 0), (16, 0), (16, 2)])
def test_transparent_frames_that_browsers_blend_differently_are_named(depth, kind):
    channels = 3 if kind == 2 else 1
    row = b"\x00" + bytes(4 * channels * depth // 8)
    control = struct.pack(">IIIIIHHBB", 0, 4, 4, 0, 0, 1, 10, 0, 0)
    extra = (
        chunk(b"tRNS", bytes(2 * channels))
        + chunk(b"acTL", struct.pack(">II", 1, 0))
        + chunk(b"fcTL", control)
    )
    frames = load(png_of((4, 4, depth, kind), zlib.compress(row * 4), extra=extra))
    assert any("browsers may blend" in sentence for sentence in frames[0].not_assessed)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_gif_without_its_trailer(frames):
    whole = animated_files(frames)["moving.gif"] if frames > 1 else saved(picture(), "GIF")
    shown = load(whole[:-1])
    assert len(shown) == frames
    for frame, intact in zip(shown, load(whole), strict=True):
        assert np.array_equal(frame.pixels, intact.pixels)
        assert "it ends without the end marker of a GIF" in frame.notes


def test_a_gif_whose_last_frame_is_cut_stays_broken():
    with pytest.raises(ImageBrokenError, match="and 2 whole frames"):
        load(animated_files(3)["moving.gif"][:-20])


def reordered(fault: str) -> bytes:
    """An APNG of a still picture and two frames with one fault in the order of its chunks."""
    data = animated_files(3)["moving.png"]
    parts, start = [], 8
    while start < len(data):
        end = start + 12 + struct.unpack_from(">I", data, start)[0]
        parts.append((data[start + 4 : start + 8], data[start + 8 : end - 4]))
        start = end
    names = [name for name, _ in parts]
    header, frame = names.index(b"acTL"), len(names) - 1 - names[::-1].index(b"fcTL")
    if fault == "twice":
        parts.insert(header, parts[header])
    elif fault == "late":
        parts.insert(-1, parts.pop(header))
    elif fault == "impossible":
        parts[header] = (b"acTL", bytes(8))
    elif fault == "sequence":
        parts[frame] = (b"fcTL", struct.pack(">I", 77) + parts[frame][1][4:])
    elif fault == "no data":
        parts = [*parts[: frame + 1], parts[-1]]
    elif fault == "no frames":
        parts = [part for part in parts if part[0] not in (b"fcTL", b"fdAT")]
    return data[:8] + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("twice", "stands twice or too late"),
        ("late", "stands twice or too late"),
        ("impossible", "impossible number"),
        ("sequence", "of the sequence is missing"),
        ("no data", "a frame has no data"),
        ("no frames", "it has no frames"),
    ],
)
def test_the_still_picture_of_a_damaged_animation(fault, message):
    whole = load(reordered(""))
    assert whole[0].frames == 3
    data = reordered(fault)
    frames = load(data)
    assert {frame.frames for frame in frames} == {1}
    assert np.array_equal(frames[0].pixels, whole[0].pixels)
    (sentence,) = frames[0].not_assessed
    assert message in sentence
    for length in (len(data) - 1, len(data) - 20):
        with pytest.raises(ImageBrokenError, match="truncated"):
            load(data[:length])


@pytest.mark.parametrize(
    "data",
    [
        reordered("sequence"),
        png_of((56, 40, 8, 2), ROWS, extra=wrong(b"tEXt", b"note\x00" + bytes(9_000))),
    ],
)
def test_a_picture_behind_a_file_that_was_mended(data):
    frames = load(data + saved(Image.fromarray(scene()), "PNG"))
    assert np.array_equal(frames[-1].pixels, scene())
    assert not frames[-1].released


def test_a_jpeg_whose_index_misses_its_further_picture():
    first, second = Image.fromarray(picture()), Image.fromarray(scene())
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert load(data)[0].frames == 2
    at = data.rindex(b"\xff\xd8\xff")
    frames = load(data[:at] + bytes(64) + data[at:])
    assert np.array_equal(frames[0].pixels, load(data)[0].pixels)
    assert any("no picture 1 is where it points" in text for text in frames[0].not_assessed)
    hidden = [frame for frame in frames if not frame.released]
    assert np.array_equal(hidden[0].pixels, load(data)[1].pixels)  # found by its first bytes
    with pytest.raises(ImageBrokenError):
        load(data[: at - 10])
