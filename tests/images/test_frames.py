from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from counterveil.errors import ImageError, ImageTooLargeError
from counterveil.images import Limits, load
from tests.corpus import SIGNATURE, animated_files, chunk, picture, saved

EXACT = ("moving.webp", "moving.png", "pages.tif")


@pytest.mark.parametrize("name", animated_files())
def test_every_frame_of_a_short_animation_is_assessed(name):
    frames = load(animated_files()[name], name=name)
    total = 2 if name == "pictures.jpg" else 5
    assert [frame.frame for frame in frames] == list(range(total))
    assert {frame.frames for frame in frames} == {total}
    assert all(f"{total} of {total} frames assessed (all)" in frame.notes for frame in frames)
    assert len({frame.pixels.tobytes() for frame in frames}) == total


@pytest.mark.parametrize("name", EXACT)
def test_frames_equal_the_written_ones(name):
    for frame in load(animated_files()[name]):
        assert np.array_equal(frame.pixels, picture(seed=frame.frame))


@pytest.mark.parametrize(
    ("frames", "chosen"),
    [(1, [0]), (2, [0, 10]), (3, [0, 5, 10]), (4, [0, 3, 7, 10]), (99, list(range(11)))],
)
@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png", "pages.tif"])
def test_frames_are_evenly_spaced_with_the_first_and_the_last(name, frames, chosen):
    frames = load(animated_files(11)[name], limits=Limits(frames=frames))
    assert [frame.frame for frame in frames] == chosen
    assert {frame.frames for frame in frames} == {11}
    note = next(note for note in frames[0].notes if "assessed" in note)
    assert note.startswith(f"{len(chosen)} of 11 frames assessed")


@pytest.mark.parametrize("name", EXACT)
def test_a_frame_in_the_middle_is_that_frame(name):
    frames = load(animated_files(11)[name], limits=Limits(frames=3))
    assert np.array_equal(frames[1].pixels, picture(seed=5))


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png"])
def test_skipped_frames_of_an_animation_count_too(name):
    data = animated_files(6)[name]
    limits = Limits(frames=2, total_pixels=5 * 2_240)
    with pytest.raises(ImageTooLargeError, match=r"6 frames.*limits\.total_pixels"):
        load(data, limits=limits)


def test_skipped_pages_count_nothing():
    limits = Limits(frames=2, total_pixels=2 * 2_240)
    assert len(load(animated_files(6)["pages.tif"], limits=limits)) == 2


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "moving.png", "pages.tif"])
def test_too_many_frames_are_refused(name):
    with pytest.raises(ImageTooLargeError, match=r"limits\.frames_held"):
        load(animated_files(6)[name], limits=Limits(frames_held=5))


def test_a_damaged_later_page_is_named():
    data = bytearray(animated_files(3)["pages.tif"])
    second = _page_offsets(bytes(data))[1]
    count = struct.unpack_from("<H", data, second)[0]
    for entry in range(count):
        at = second + 2 + 12 * entry
        if struct.unpack_from("<H", data, at)[0] == 273:
            struct.pack_into("<I", data, at + 8, len(data) - 10)
    with pytest.raises(ImageError, match="frame 1 of 0 to 2"):
        load(bytes(data))


def _page_offsets(data: bytes) -> list[int]:
    offsets = [struct.unpack_from("<I", data, 4)[0]]
    while True:
        count = struct.unpack_from("<H", data, offsets[-1])[0]
        following = struct.unpack_from("<I", data, offsets[-1] + 2 + 12 * count)[0]
        if not following:
            return offsets
        offsets.append(following)


def test_a_damaged_later_frame_of_an_apng_is_named():
    data = animated_files(3)["moving.png"]
    position = data.rindex(b"fdAT") + 30
    changed = data[:position] + bytes((data[position] ^ 0xFF,)) + data[position + 1 :]
    with pytest.raises(ImageError, match="in frame 2: the checksum of its fdAT chunk"):
        load(changed)


def test_a_gif_whose_later_frame_is_larger_than_its_canvas():
    small, large = Image.fromarray(picture(8, 8)), Image.fromarray(picture(40, 56))
    first, second = saved(small, "GIF"), saved(large, "GIF")
    start = 13 + (3 << ((second[10] & 7) + 1) if second[10] & 128 else 0)
    data = first[:-1] + second[start:]
    with pytest.raises(ImageTooLargeError, match="56 x 40"):
        load(data, limits=Limits(pixels=2_000))


def test_a_jpeg_without_its_other_pictures_gives_a_note():
    data = animated_files()["pictures.jpg"]
    first = data[: data.index(b"\xff\xd9") + 2]
    (frame,) = load(first)
    assert frame.frames == 1
    assert any("declares 2 pictures, the file holds 1" in note for note in frame.notes)


def test_a_frame_of_an_apng_restores_the_one_before_it():
    green, red = b"\x00" + b"\x00\xff\x00" * 4, b"\x00" + b"\xff\x00\x00" * 4

    def control(number: int, side: int, dispose: int) -> bytes:
        numbers = (number, side, side, 0, 0, 1, 10, dispose, 1)  # blended over what is there
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", *numbers))

    def frame(number: int, rows: bytes) -> bytes:
        return chunk(b"fdAT", struct.pack(">I", number) + zlib.compress(rows))

    data = (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
        + chunk(b"acTL", struct.pack(">II", 3, 0))
        + control(0, 4, 0)
        + chunk(b"IDAT", zlib.compress(green * 4))
        + control(1, 4, 2)
        + frame(2, red * 4)
        + control(3, 1, 0)
        + frame(4, green[:4])
        + chunk(b"IEND", b"")
    )
    first, second, third = load(data)
    assert (second.pixels == (255, 0, 0)).all()
    assert np.array_equal(third.pixels, first.pixels) and (first.pixels == (0, 255, 0)).all()


def test_an_animation_with_transparency_is_laid_on_white():
    clear = np.zeros((8, 8, 4), np.uint8)
    solid = np.full((8, 8, 4), 255, np.uint8) * np.array([1, 0, 0, 1], np.uint8)
    frames = [Image.fromarray(clear), Image.fromarray(solid)]
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {"disposal": 2})):
        data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        first, last = (frame for frame in load(data) if not frame.view)
        assert (first.pixels == 255).all(), format
        assert (last.pixels == (255, 0, 0)).all(), format
