"""BMP in every layout of Windows and OS/2: read, or said to be unsupported."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from counterveil.errors import ImageBrokenError
from counterveil.images import load
from tests.corpus import picture, saved
from tests.hidden import swapped_profile
from tests.images.test_views import flagged, scene
from tests.pipeline.detectors import RED

RGB = picture(13, 21)
HEIGHT, WIDTH = RGB.shape[:2]
PALETTE = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)


def bmp(
    bits: int,
    rows: bytes,
    *,
    size: int = 40,
    compression: int = 0,
    palette: np.ndarray | None = None,
    masks: tuple[int, ...] = (),
    height: int = HEIGHT,
    width: int = WIDTH,
    tail: bytes = b"",
    gap: int = 0,
) -> bytes:
    """A BMP with a header of ``size`` bytes; ``tail`` replaces the end of a long header."""
    if size == 12:
        header = struct.pack("<IHHHH", size, width, height, 1, bits)
    else:
        colours = 0 if palette is None else len(palette)
        header = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, 0, 0, 0,
                             colours, 0)  # fmt: skip
        header = header[:size]
        if size >= 52:
            header += struct.pack(f"<{len(masks)}I", *masks)
        header = header.ljust(size - len(tail), b"\x00") + tail
    if size == 40 and masks:
        header += struct.pack(f"<{len(masks)}I", *masks)
    table = b""
    if palette is not None:
        wide = np.zeros((len(palette), 3 if size == 12 else 4), np.uint8)
        wide[:, :3] = palette[:, ::-1]
        table = wide.tobytes()
    start = 14 + len(header) + len(table) + gap
    file = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    return file + header + table + bytes(gap) + rows


def packed(indices: np.ndarray, bits: int) -> bytes:
    """Rows, bottom up, padded to four bytes."""
    singles = np.unpackbits(indices[..., None], axis=-1)[..., 8 - bits :]
    rows = np.packbits(singles.reshape(len(indices), -1), axis=1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()


def padded(values: np.ndarray) -> bytes:
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()


def plain(data: bytes) -> np.ndarray:
    frame = load(data)[0]
    assert frame.view == ""
    return frame.pixels


@pytest.mark.parametrize("size", [12, 16, 40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_every_header_and_depth(size, bits):
    indices = np.random.default_rng(bits).integers(0, 1 << bits, (HEIGHT, WIDTH)).astype(np.uint8)
    data = bmp(bits, packed(indices, bits), size=size, palette=PALETTE[: 1 << bits])
    assert np.array_equal(plain(data), PALETTE[indices])


@pytest.mark.parametrize("size", [12, 16, 40, 52, 56, 64, 108, 124])
def test_24_bits_of_every_header_stay_exact(size):
    assert np.array_equal(plain(bmp(24, padded(RGB[..., ::-1]), size=size)), RGB)


def test_top_down():
    rows = padded(RGB[::-1, :, ::-1])
    assert np.array_equal(plain(bmp(24, rows, height=-HEIGHT)), RGB)


def test_a_palette_of_two_greys_at_four_bits():
    indices = np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8)
    greys = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    assert np.array_equal(plain(bmp(4, packed(indices, 4), palette=greys)), greys[indices])


def test_bytes_between_palette_and_pixels():
    indices = np.random.default_rng(0).integers(0, 16, (HEIGHT, WIDTH)).astype(np.uint8)
    data = bmp(4, packed(indices, 4), palette=PALETTE[:16], gap=7)
    assert np.array_equal(plain(data), PALETTE[indices])


MASKS = {
    "555": (16, (0x7C00, 0x3E0, 0x1F)),
    "565": (16, (0xF800, 0x7E0, 0x1F)),
    "444": (16, (0xF00, 0xF0, 0xF)),
    "BGR": (32, (0xFF, 0xFF00, 0xFF0000)),
    "10 bits": (32, (0x3FF00000, 0xFFC00, 0x3FF)),
}


@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("name", MASKS)
def test_bit_fields(name, size):
    bits, masks = MASKS[name]
    values = np.zeros((HEIGHT, WIDTH), f"<u{bits // 8}")
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        level = np.rint(RGB[..., channel] * ((mask >> shift) / 255)).astype(values.dtype)
        values |= level << np.array(shift, values.dtype)
    got = plain(bmp(bits, padded(values), size=size, compression=3, masks=masks)).astype(int)
    coarsest = min(bin(mask).count("1") for mask in masks)
    assert np.abs(got - RGB).max() <= 255 / ((1 << coarsest) - 1) / 2 + 1
    if name == "BGR":
        assert np.array_equal(got, RGB)


def test_16_bits_without_masks():
    values = (RGB.astype("<u2") >> 3) @ np.array([1 << 10, 1 << 5, 1], "<u2")
    got = plain(bmp(16, padded(values.astype("<u2")))).astype(int)
    assert np.abs(got - RGB).max() <= 8


def four_bytes(colours: np.ndarray, fourth: np.ndarray | int) -> bytes:
    fourth = np.broadcast_to(np.uint8(fourth), colours.shape[:2])
    return padded(np.dstack([colours[..., ::-1], fourth]))


def test_a_fourth_byte_that_only_some_viewers_take_for_alpha():
    height, width = scene().shape[:2]
    size = {"height": height, "width": width}
    assert [f.view for f in load(bmp(32, four_bytes(scene(), 0), **size))] == [""]
    assert [f.view for f in load(bmp(32, four_bytes(scene(), 255), **size))] == [""]
    # A scene that the fourth byte alone draws
    drawn = np.where(scene() == RED, 255, 30).astype(np.uint8)[..., 0]
    red = np.full((height, width, 3), RED, np.uint8)
    grey = np.where(drawn[..., None] == 255, RED, 0).astype(np.uint8)
    assert np.array_equal(load(bmp(32, four_bytes(grey, drawn), **size))[0].pixels, grey)
    views = {frame.view for frame in load(bmp(32, four_bytes(red, drawn), **size))}
    assert {"", "on white", "on black"} <= views


def test_alpha_that_the_masks_declare():
    height, width = scene().shape[:2]
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    clear = np.where((scene() == RED).all(axis=2), 0, 255).astype(np.uint8)
    data = bmp(32, four_bytes(scene(), clear), size=124, compression=3, masks=masks,
               height=height, width=width)  # fmt: skip
    assert flagged(data) == {"0": False, "0 on black": False, "0 alpha ignored": True}


def test_one_bit_of_alpha():
    height, width = scene().shape[:2]
    values = (scene().astype("<u2") >> 3) @ np.array([1 << 10, 1 << 5, 1], "<u2")
    values = values.astype("<u2") | np.where((scene() == RED).all(axis=2), 0, 0x8000).astype("<u2")
    data = bmp(16, padded(values), size=108, compression=3, masks=(0x7C00, 0x3E0, 0x1F, 0x8000),
               height=height, width=width)  # fmt: skip
    assert flagged(data)["0 alpha ignored"] and not flagged(data)["0"]


def runs(indices: np.ndarray, four: bool, how: str) -> bytes:
    """Run-length coding in which every row is one kind of run."""
    out = b""
    for row in indices[::-1].tolist():
        if how == "runs":
            out += b"".join(bytes((1, value << 4 if four else value)) for value in row)
        else:
            half = row + [0] * (len(row) % 2)
            pairs = [a << 4 | b for a, b in zip(half[::2], half[1::2], strict=True)]
            body = bytes(pairs if four else row)
            out += bytes((0, len(row))) + body + bytes(len(body) % 2)
        out += b"\x00\x00"
    return out + b"\x00\x01"


@pytest.mark.parametrize("gap", [0, 1])  # runs are padded from their start, not from the file's
@pytest.mark.parametrize("how", ["runs", "absolute"])
@pytest.mark.parametrize("four", [True, False])
def test_run_length_coding(four, how, gap):
    top = 16 if four else 256
    indices = np.random.default_rng(2).integers(0, top, (HEIGHT, WIDTH)).astype(np.uint8)
    data = bmp(4 if four else 8, runs(indices, four, how), compression=2 if four else 1,
               palette=PALETTE[:top], gap=gap)  # fmt: skip
    assert np.array_equal(plain(data), PALETTE[indices])


def test_runs_of_two_colours():
    data = bmp(4, b"\x05\x12\x00\x01", compression=2, palette=PALETTE[:16], height=1, width=5)
    assert np.array_equal(plain(data)[0], PALETTE[[1, 2, 1, 2, 1]])


def test_pixels_that_the_runs_skip_are_transparent_to_browsers():
    body = b"\x02\x01" + b"\x00\x02\x01\x01" + b"\x01\x02" + b"\x00\x01"
    data = bmp(8, body, compression=1, palette=PALETTE, height=2, width=4)
    views = {frame.view: frame.pixels for frame in load(data)}
    expected = PALETTE[[[0, 0, 0, 2], [1, 1, 0, 0]]]
    assert np.array_equal(views[""], expected)
    assert (views["on black"][0, :3] == 0).all() and (views["on white"][0, :3] == 255).all()


def test_runs_that_end_early_are_broken():
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    body = runs(indices, four=False, how="runs")
    with pytest.raises(ImageBrokenError, match="before its last run"):
        load(bmp(8, body[: len(body) // 2 * 2 - 40], compression=1, palette=PALETTE))


def test_a_profile_in_the_file():
    height, width = scene().shape[:2]
    rows = padded(scene((20, 20, 220))[..., ::-1])
    profile = swapped_profile()
    tail = struct.pack("<III", 124 + len(rows), len(profile), 0)
    data = bytearray(bmp(24, rows, size=124, tail=tail, height=height, width=width))
    data[14 + 56 : 14 + 60] = b"DEBM"
    assert flagged(bytes(data) + profile) == {"0": False, "0 colour profile applied": True}
    assert not any("behind the image" in note for note in load(bytes(data) + profile)[0].notes)


def test_a_gamma_in_the_header():
    height, width = scene().shape[:2]
    rows = padded(scene((90, 1, 1))[..., ::-1])
    tail = struct.pack("<3I", *[65536] * 3) + bytes(0)
    data = bmp(24, rows, size=108, tail=tail, height=height, width=width)
    assert [frame.view for frame in load(data)] == ["", "gamma applied"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"bits": 24, "size": 90}, "header of 90 bytes is not supported"),
        ({"bits": 24, "compression": 4}, "24 bits with compression 4 is not supported"),
        ({"bits": 1, "compression": 3, "size": 64}, "1 bits with compression 3 is not supported"),
        ({"bits": 48}, "48 bits with compression 0 is not supported"),
    ],
)
def test_what_is_not_read_is_not_called_broken(options, what):
    with pytest.raises(ImageBrokenError, match=what) as caught:
        load(bmp(rows=bytes(4_000), **options))
    assert "intact" not in str(caught.value)


def test_pillow_agrees_where_it_reads_a_bmp():
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        from PIL import Image

        image = Image.fromarray(RGB).convert(mode)
        got = plain(saved(image, "BMP"))
        assert np.array_equal(got, np.array(image.convert("RGB"))), mode
