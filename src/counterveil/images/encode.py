"""RGB and masks -> clean bytes -> files."""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from counterveil.errors import UsageError, VerificationError
from counterveil.images.codec_errors import quiet, translated
from counterveil.images.structure.png import chunks
from counterveil.types import Image, Mask

_CLEAN = (b"IHDR", b"IDAT", b"IEND")
_LEVEL = 4
"""Of compression: 0 % to 4 % larger than Pillow's 6 on photographs, in half the time."""


def encode_png(image: Image, *, level: int = 6) -> bytes:
    """An RGB image as a PNG of pixels alone: IHDR, IDAT, IEND, and nothing behind them.

    Args:
        image: RGB.
        level: effort of the compression, 0 to 9.

    Raises:
        UsageError: not an RGB image of 8 bits with at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UsageError(
            f"an image is uint8 (height, width, 3), got {image.dtype} {image.shape}; convert it"
        )
    return _png(image, level)


def encode_mask(mask: Mask) -> bytes:
    """A mask as an 8-bit grey PNG of pixels alone, 255 = veiled, 0 = as it was.

    Raises:
        UsageError: not a mask with at least one pixel.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise UsageError(
            f"a mask is bool (height, width), True = veiled; got {mask.dtype} {mask.shape}"
        )
    return _png(mask.astype(np.uint8) * np.uint8(255))


def decode_clean(data: bytes) -> Image:
    """Decode what ``encode_png`` wrote, and check that it holds pixels and nothing else.

    Raises:
        VerificationError: it is no RGB PNG, or holds anything beside its pixels.
        ImageBrokenError: it is damaged.
    """
    with translated("the written file"), quiet():
        blocks = list(chunks(data))
        extra = {name for name, _, _ in blocks} - set(_CLEAN)
        if extra or blocks[-1][2] != len(data):
            raise VerificationError(f"the written file holds more than pixels: {sorted(extra)}")
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode != "RGB":
                raise VerificationError(f"the written file is {image.mode}, not RGB")
            return np.array(image)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    A new file is made in the same folder, brought to disk and renamed: no byte of what was at
    ``path`` survives behind the new end, and a link there is replaced rather than followed.

    Raises:
        OSError: the folder is missing, full or may not be written; nothing is left behind.
    """
    path = Path(path)
    draft = path.with_name(f".counterveil-{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _png(pixels: np.ndarray, level: int = 6) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def _sync_folder(folder: Path) -> None:
    """Bring the rename itself to disk, where the system lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
