from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from counterveil.errors import ImageBrokenError, ImageError, ImageTooLargeError
from counterveil.images import Limits, load
from tests.corpus import SIGNATURE, animated_files, broken_files, picture, saved, whole_files

BROKEN = broken_files()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_raises_an_image_error_with_name_and_reason(name):
    with pytest.raises(ImageError) as caught:
        load(BROKEN[name], name=name)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert len(message) > len(name) + 20
    assert "\n" not in message
    assert isinstance(caught.value, ImageTooLargeError if "bomb" in name else ImageBrokenError) or (
        name == "text-bomb.png"
    )


def test_the_reasons_differ():
    assert len(BROKEN) >= 20
    reasons = set()
    for data in BROKEN.values():
        with pytest.raises(ImageError) as caught:
            load(data, name="x")
        reasons.add(str(caught.value))
    # Files cut in different places share a reason, and two checksums do.
    assert len(reasons) >= len(BROKEN) - 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.png", "empty"),
        ("page.jpg", "HTML"),
        ("drawing.png", "SVG"),
        ("archive.jpg", "zip"),
        ("layers.psd", "Photoshop"),
        ("phone.heic", "HEIC"),
        ("cut-pixels.png", "truncated"),
        ("checksum-pixels.png", "checksum"),
        ("missing-rows.png", "rows are missing"),
        ("painted.jpg", "part of the picture is missing"),
        ("last-row.png", "rows are missing"),
        ("frame-rows.png", "frame 1: rows are missing"),
        ("frame-count.png", "declares 1 frames and holds 2"),
        ("fewer-frames.png", "declares 9 frames and holds 2"),
        ("checksum-split.png", "checksum of its IDAT chunk"),
        ("loop.tif", "endless loop"),
        ("missing-strips.tif", "cover 16 of 64"),
        ("cut-link.tif", "page 0 should be described"),
        ("cut-later.gif", "and 3 whole frames"),
        ("bomb.png", "50000 x 50000"),
        ("bomb.jpg", "65535 x 65535"),
        ("bomb.gif", "65535 x 65535"),
        ("bomb.webp", "16384 x 16384"),
        ("bomb-page.tif", "frame 1 of 0 to 1: 60000 x 60000"),
        ("bomb-frames.gif", r"10001 frames.*limits\.frames_held"),
    ],
)
def test_the_message_says_what_is_wrong(name, message):
    with pytest.raises(ImageError, match=message):
        load(BROKEN[name], name=name)


@pytest.mark.parametrize("name", [*whole_files(), *animated_files()])
def test_a_truncated_file_is_never_padded_silently(name):
    data = {**whole_files(), **animated_files()}[name]
    whole = load(data)
    rng = np.random.default_rng(3)
    for length in sorted({*rng.integers(1, len(data), 25), len(data) - 1}):
        if name == "pictures.jpg" and data[:length].endswith(b"\xff\xd9"):
            continue  # the first picture, whole
        try:
            frames = load(data[:length], name=name)
        except ImageError:
            continue
        # What is missing is a filling byte behind the last page, or whole frames of a GIF.
        if name.endswith(".gif"):
            assert "it ends without the end marker of a GIF" in frames[0].notes
        else:
            assert length > len(data) - 3
            assert len(frames) == len(whole)
        for frame, intact in zip(frames, whole, strict=False):
            assert np.array_equal(frame.pixels, intact.pixels)


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_truncated_jpeg_with_an_end_marker_is_detected(options):
    data = saved(picture(), "JPEG", **options)
    whole = load(data)[0].pixels
    scan = data.index(b"\xff\xda") + 14
    for length in range(scan, len(data) - 2, 5):
        try:
            (frame,) = load(data[:length] + b"\xff\xd9")
        except ImageBrokenError:
            continue
        assert np.array_equal(frame.pixels, whole)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (17, 31), (64, 33)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"subsampling": 0, "quality": 100},
        {"subsampling": 1, "restart_marker_blocks": 1},
        {"optimize": True, "quality": 5},
    ],
)
def test_a_whole_jpeg_is_never_taken_for_a_truncated_one(size, options):
    for pixels in (picture(*size), picture(*size)[..., 0], np.zeros((*size, 3), np.uint8)):
        assert load(saved(pixels, "JPEG", **options))[0].pixels.shape == (*size, 3)


def test_bombs_take_no_memory():
    code = (
        "import resource, tests.corpus as c\n"
        "from counterveil.errors import ImageError\n"
        "from counterveil.images import load\n"
        "load(c.whole_files()['whole.webp'])\n"
        "files = {n: d for n, d in c.broken_files().items() if 'bomb' in n}\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for data in files.values():\n"
        "    try: load(data)\n"
        "    except ImageError: pass\n"
        "print(len(files), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    files, grown = map(int, ran.stdout.split())
    unit = 1024 if sys.platform == "darwin" else 1
    assert files >= 7
    assert grown / unit < 60_000  # kilobytes


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    reach = min(len(data), 200) if rng.random() < 0.6 else len(data)
    for position in rng.integers(0, reach, rng.integers(1, 6)):
        changed[position] = rng.integers(0, 256)
    if rng.random() < 0.15:
        del changed[int(rng.integers(1, len(changed))) :]
    return bytes(changed)


def _with_checksums(data: bytes) -> bytes:
    """A PNG with recomputed checksums, so that a change reaches the codec."""
    fixed, position = bytearray(SIGNATURE), 8
    while position + 12 <= len(data):
        length = struct.unpack_from(">I", data, position)[0]
        end = position + 8 + length
        body = data[position + 4 : end]
        fixed += data[position : position + 4] + body + struct.pack(">I", zlib.crc32(body))
        position = end + 4
    return bytes(fixed)


def test_flipped_bytes_raise_nothing_but_image_errors():
    rng = np.random.default_rng(11)
    limits = Limits(pixels=1_000_000, total_pixels=4_000_000)
    files = {**whole_files(), **animated_files(3)}
    outcomes = {"read": 0, "refused": 0}
    for turn in range(25):
        for name, data in files.items():
            changed = _flipped(data, rng)
            if name.endswith(".png") and turn % 4:
                changed = _with_checksums(changed)
            try:
                load(changed, name=name, limits=limits)
                outcomes["read"] += 1
            except ImageError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50, outcomes
