"""Decodes a BMP in every layout of Windows and OS/2.

Pillow reads the common layouts only, takes a palette of two greys for one bit a pixel whatever the
depth, and drops alpha channels that browsers follow.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from counterveil.images.codec_errors import damaged
from counterveil.images.structure import bmp

_ROWS = 256
"""Rows decoded at a time, because wide numbers need memory."""
_NIBBLES = tuple(bytes((value >> 4, value & 15)) for value in range(256))


def open_bmp(data: bytes) -> Pillow.Image:
    """Decode a BMP whose layout was checked by ``structure.bmp.read_bmp``.

    Returns:
        RGB, or RGBA where a part is not opaque; ``info`` holds what the file says about colours.

    Raises:
        ImageBrokenError: the data end early.
    """
    header = bmp.read_header(data)
    if header.compression in (bmp.RLE4, bmp.RLE8):
        indices, drawn = _decode_runs(data, header)
        rgb = _palette(header)[indices]
        alpha = None if drawn.all() else np.where(drawn, np.uint8(255), np.uint8(0))
    else:
        size = header.stride * header.height
        rows = np.frombuffer(data, np.uint8, size, header.pixels)
        rows = rows.reshape(header.height, header.stride)
        rgb, alpha = _decode_rows(rows if header.top_down else rows[::-1], header)
    image = Pillow.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    image.info.update(header.info)
    return image


def _palette(header: bmp.BmpHeader) -> UInt8[np.ndarray, "256 3"]:
    table = np.zeros((256, 3), np.uint8)
    if header.palette:
        table[: len(header.palette)] = header.palette
    return table


def _decode_rows(
    rows: UInt8[np.ndarray, "height stride"], header: bmp.BmpHeader
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"] | None]:
    width, bits = header.width, header.bits
    rgb = np.empty((header.height, width, 3), np.uint8)
    alpha = np.full((header.height, width), 255, np.uint8)
    for top in range(0, header.height, _ROWS):
        part, out = rows[top : top + _ROWS], rgb[top : top + _ROWS]
        if bits == 24:
            out[:] = part[:, : 3 * width].reshape(len(part), width, 3)[..., ::-1]
        elif bits <= 8:
            out[:] = _palette(header)[_indices(part, width, bits)]
        else:
            code = "<u2" if bits == 16 else "<u4"
            values = np.ascontiguousarray(part).view(code)[:, :width]
            *colours, opacity = header.masks
            for channel, mask in enumerate(colours):
                out[..., channel] = _channel(values, mask)
            if opacity:
                alpha[top : top + _ROWS] = _channel(values, opacity)
    # A fourth byte that is zero throughout is a filler to every viewer.
    return rgb, None if alpha.min() == 255 or not alpha.any() else alpha


def _indices(
    rows: UInt8[np.ndarray, "rows stride"], width: int, bits: int
) -> UInt8[np.ndarray, "rows width"]:
    if bits == 8:
        return rows[:, :width]
    singles = np.unpackbits(rows, axis=1).reshape(len(rows), -1, bits)
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint8)
    indices: np.ndarray = (singles @ weights)[:, :width]
    return indices.astype(np.uint8)


def _channel(values: np.ndarray, mask: int) -> UInt8[np.ndarray, "..."]:
    """The bits of a mask, scaled to 0 to 255."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    bits = (values & np.asarray(mask, values.dtype)) >> np.asarray(shift, values.dtype)
    if top != 255:
        bits = np.rint(bits.astype(np.float64) * (255 / top))
    levels: np.ndarray = bits.astype(np.uint8)
    return levels


def _decode_runs(
    data: bytes, header: bmp.BmpHeader
) -> tuple[UInt8[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Colour indices, and which pixels the file draws; the others are transparent in browsers.

    References:
        Microsoft, Bitmap Compression.
    """
    width, height = header.width, header.height
    indices, drawn = bytearray(width * height), bytearray(width * height)
    four = header.compression == bmp.RLE4
    position, x, y = header.pixels, 0, 0
    while y < height:
        pair = data[position : position + 2]
        position += 2
        if len(pair) < 2:
            if all(drawn):
                break
            raise damaged("truncated: the BMP ends before its last run of pixels")
        count, value = pair
        if count:
            run = _NIBBLES[value] * ((count + 1) // 2) if four else pair[1:] * count
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            right, up = data[position : position + 2]
            x, y, position = x + right, y + up, position + 2
            continue
        else:
            count, size = value, (value + 1) // 2 if four else value
            run = data[position : position + size]
            run = b"".join(_NIBBLES[byte] for byte in run) if four else run
            position += size + size % 2
        run = run[: min(count, max(width - x, 0))]  # what leaves the row is cut off
        at = y * width + x
        indices[at : at + len(run)] = run
        drawn[at : at + len(run)] = b"\x01" * len(run)
        x += count
    step = 1 if header.top_down else -1
    shape = (height, width)
    return (
        np.frombuffer(indices, np.uint8).reshape(shape)[::step],
        np.frombuffer(drawn, np.bool_).reshape(shape)[::step],
    )
