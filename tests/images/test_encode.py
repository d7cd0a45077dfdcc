from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from counterveil.errors import ImageBrokenError, UsageError, VerificationError
from counterveil.images import decode_clean, encode_mask, encode_png, load
from tests.corpus import chunk, picture, saved

RGB = picture()


def chunk_names(data: bytes) -> list[bytes]:
    """Parsed here by hand, so that the writer is not its own judge; fails on a byte too many."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    names, position = [], 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 4 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(body)
        names.append(name)
        position += 12 + length
    assert position == len(data)
    return names


@pytest.mark.parametrize("shape", [(1, 1), (40, 56), (700, 900)])
def test_an_image_is_written_as_pixels_alone(shape):
    names = chunk_names(encode_png(picture(*shape)))
    assert names[0] == b"IHDR" and names[-1] == b"IEND"
    assert set(names[1:-1]) == {b"IDAT"}


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_an_image_is_read_back_exactly(image):
    data = encode_png(image)
    assert np.array_equal(decode_clean(data), image)
    assert np.array_equal(load(data)[0].pixels, image)


@settings(max_examples=30, deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_mask_is_8_bits_with_255_for_veiled(mask):
    data = encode_mask(mask)
    assert set(chunk_names(data)) == {b"IHDR", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "L"
        assert np.array_equal(np.array(image), np.where(mask, 255, 0))


def test_views_and_read_only_arrays_are_written_too():
    view = np.asfortranarray(RGB[::2, ::-3])
    view.flags.writeable = False
    assert np.array_equal(decode_clean(encode_png(view)), view)


@pytest.mark.parametrize(
    "wrong",
    [RGB.astype(float), RGB[..., 0], np.dstack([RGB, RGB]), np.zeros((0, 4, 3), np.uint8)],
    ids=["float", "grey", "six channels", "no pixel"],
)
def test_an_array_that_is_no_image_is_refused(wrong):
    with pytest.raises(UsageError, match=r"uint8 \(height, width, 3\)"):
        encode_png(wrong)


@pytest.mark.parametrize("wrong", [RGB[..., 0], np.zeros((2, 2, 1), bool), np.zeros((0, 2), bool)])
def test_an_array_that_is_no_mask_is_refused(wrong):
    with pytest.raises(UsageError, match="mask is bool"):
        encode_mask(wrong)


def test_a_file_that_holds_more_than_pixels_is_not_clean():
    clean = encode_png(RGB)
    note = chunk(b"tEXt", b"Comment\x00secret")
    for data in (clean + b"\x00", clean[:33] + note + clean[33:]):
        with pytest.raises(VerificationError, match="more than pixels"):
            decode_clean(data)


def test_a_file_that_is_not_rgb_or_damaged_is_not_clean():
    with pytest.raises(VerificationError, match="not RGB"):
        decode_clean(encode_mask(np.ones((2, 2), bool)))
    with pytest.raises(ImageBrokenError):
        decode_clean(encode_png(RGB)[:-20])
    with pytest.raises(ImageBrokenError):
        decode_clean(saved(RGB, "JPEG"))
