"""Encodes RGB images and masks as PNG files that hold nothing but pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow

from counterveil.errors import UsageError, VerificationError
from counterveil.images.codec_errors import collect_warnings, translate_codec_errors
from counterveil.images.structure.png import chunks
from counterveil.types import Image, Mask

_PIXEL_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})


_LARGE = 1 << 21
"""Pixels from which an image is compressed fast: of 12 megapixels, it takes a quarter of the time
for a file that is a fifth larger at most."""


def encode_png(image: Image, *, compress_level: int | None = None) -> bytes:
    """Encode an RGB image as a PNG with the chunks IHDR, IDAT and IEND, and no metadata.

    Args:
        image: RGB.
        compress_level: zlib level, 0 to 9; by default 6, and 1 for more than 2 megapixels.

    Raises:
        UsageError: not an 8-bit RGB image of at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UsageError(
            f"an image is uint8 (height, width, 3), got {image.dtype} {image.shape}; convert it"
        )
    if compress_level is None:
        compress_level = 6 if image.shape[0] * image.shape[1] <= _LARGE else 1
    return _encode(image, compress_level)


def encode_mask(mask: Mask) -> bytes:
    """Encode a mask as an 8-bit grey PNG without metadata: 255 = veiled, 0 = not veiled.

    Raises:
        UsageError: not a mask of at least one pixel.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise UsageError(
            f"a mask is bool (height, width), True = veiled; got {mask.dtype} {mask.shape}"
        )
    return _encode(mask.astype(np.uint8) * np.uint8(255))


def decode_clean(data: bytes) -> Image:
    """Decode what ``encode_png`` wrote, and check that it holds nothing but pixels.

    Raises:
        VerificationError: not an RGB PNG, or one with metadata or trailing bytes.
        ImageBrokenError: the file is damaged.
    """
    with translate_codec_errors("the written file"), collect_warnings():
        blocks = list(chunks(data))
        extra = {name for name, _, _ in blocks} - _PIXEL_CHUNKS
        if extra or blocks[-1][2] != len(data):
            raise VerificationError(f"the written file holds more than pixels: {sorted(extra)}")
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode != "RGB":
                raise VerificationError(f"the written file is {image.mode}, not RGB")
            return np.array(image)


def _encode(pixels: np.ndarray, compress_level: int = 6) -> bytes:
    buffer = io.BytesIO()
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    picture.save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()
