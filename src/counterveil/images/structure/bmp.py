"""BMP: its headers, in all layouts of Windows and OS/2."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from counterveil.images.codec_errors import damaged, unsupported
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

RAW, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_FILE_HEADER, _CORE, _INFO, _V4, _V5 = 14, 12, 40, 108, 124
_DEPTHS = {RAW: (1, 2, 4, 8, 16, 24, 32), RLE8: (8,), RLE4: (4,),
           BITFIELDS: (16, 32), ALPHA_BITFIELDS: (16, 32)}  # fmt: skip
_USUAL_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0xFF000000)}


@dataclass(frozen=True)
class BmpHeader:
    """What the headers of a BMP say.

    Attributes:
        width: pixels.
        height: pixels.
        bits: per pixel.
        compression: one of the constants of this module.
        top_down: the first row is the top one.
        masks: bits of red, green, blue and alpha; empty with a palette and for 24 bits.
        palette: entries of red, green and blue.
        pixels: offset of the pixels.
        info: colour profile, gamma and primaries, as Pillow names them.
        end: offset behind a profile; 0 without.
    """

    width: int
    height: int
    bits: int
    compression: int
    top_down: bool
    masks: tuple[int, ...]
    palette: tuple[tuple[int, ...], ...]
    pixels: int
    info: dict[str, Any]
    end: int

    @property
    def stride(self) -> int:
        """Bytes of a row without compression."""
        return (self.width * self.bits + 31) // 32 * 4


def read_bmp(data: bytes, limits: Limits) -> Layout:
    """Read the headers of a BMP, and check that all rows are there.

    Raises:
        ImageBrokenError: cut, or of a layout that is not supported.
        ImageTooLargeError: over a limit.
    """
    header = read_header(data)
    limits.check_size(header.width, header.height)  # bomb.bmp: guards memory
    end = None
    if header.compression not in (RLE4, RLE8):
        end = header.pixels + header.stride * header.height
        if end > len(data):
            raise damaged(f"truncated: the BMP needs at least {end - len(data)} more bytes")
        end = max(end, header.end)
    # Without masks that say so, the fourth byte is alpha to some viewers only.
    declared = header.compression in (BITFIELDS, ALPHA_BITFIELDS)
    return Layout(1, end, alpha="straight" if declared else "unspecified")


def read_header(data: bytes) -> BmpHeader:
    """Read the headers.

    Raises:
        ImageBrokenError: cut, or of a layout that is not supported.
    """
    pixels, size = struct.unpack_from("<II", data, 10)
    if not (size == _CORE or 16 <= size <= 64 or size in (_V4, _V5)):
        raise unsupported(f"a BMP header of {size} bytes")
    header = data[_FILE_HEADER : _FILE_HEADER + size]
    if len(header) < size:
        raise damaged("truncated: the BMP ends inside its header")
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", header, 4)
        compression = colours = 0
    else:
        # OS/2 may end its header early; what is missing is zero.
        width, height, _, bits, compression, colours = struct.unpack_from(
            "<iiHHI12xI", header.ljust(_INFO, b"\x00"), 4
        )
    if bits not in _DEPTHS.get(compression, ()) or (size == 64 and compression == BITFIELDS):
        raise unsupported(f"a BMP of {bits} bits with compression {compression}")
    if width <= 0 or not height:
        raise damaged(f"a picture of {width} x {height} pixels")
    start = _FILE_HEADER + size
    masks = _masks(data, header, bits, compression)
    if compression in (BITFIELDS, ALPHA_BITFIELDS) and size < 52:
        start += 12 if compression == BITFIELDS else 16
    palette: tuple[tuple[int, ...], ...] = ()
    if bits <= 8:
        entry = 3 if size == _CORE else 4
        count = min(colours or 1 << bits, 1 << bits)
        if pixels > start:  # a shorter palette than declared
            count = min(count, (pixels - start) // entry)
        table = data[start : start + count * entry]
        palette = tuple(
            (table[at + 2], table[at + 1], table[at]) for at in range(0, len(table) - 2, entry)
        )
        start += count * entry
    info, end = _colours(data, header)
    # Some programs leave the offset out, or name the palette's.
    first = pixels if pixels >= start else start
    return BmpHeader(
        width, abs(height), bits, compression, height < 0, masks, palette, first, info, end
    )


def _masks(data: bytes, header: bytes, bits: int, compression: int) -> tuple[int, ...]:
    if bits not in _USUAL_MASKS:
        return ()
    if compression == RAW:
        return _USUAL_MASKS[bits]
    count = 4 if compression == ALPHA_BITFIELDS or len(header) >= 56 else 3
    masks = struct.unpack_from(f"<{count}I", data, _FILE_HEADER + _INFO)
    return (*masks, 0)[:4] if any(masks) else _USUAL_MASKS[bits]


def _colours(data: bytes, header: bytes) -> tuple[dict[str, Any], int]:
    """Colour profile, or gamma and primaries, and the end of the profile.

    References:
        Microsoft, BITMAPV5HEADER.
    """
    if len(header) < _V4:
        return {}, 0
    kind = struct.unpack_from("<I", header, 56)[0]
    if kind == 0x4D424544 and len(header) >= _V5:  # "MBED"
        offset, size = struct.unpack_from("<II", header, 112)
        start, end = _FILE_HEADER + offset, _FILE_HEADER + offset + size
        return {"icc_profile": data[start:end]}, min(end, len(data))
    gammas = struct.unpack_from("<3I", header, 96)
    if kind != 0 or not all(gammas):
        return {}, 0
    info: dict[str, Any] = {"gamma": tuple(65536 / gamma for gamma in gammas)}
    red, green, blue = (struct.unpack_from("<3I", header, at) for at in (60, 72, 84))
    points = [[sum(axis) for axis in zip(red, green, blue, strict=True)], red, green, blue]
    if all(map(sum, points)):
        info["chromaticity"] = tuple(value / sum(point) for point in points for value in point[:2])
    return info, 0
