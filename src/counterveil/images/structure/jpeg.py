"""JPEG: segments to the end marker, and whether the picture is all there.

libjpeg paints what a file lacks in grey and only warns, which Pillow does not pass on. Bits put
before the end marker are ignored where the picture is complete, and decoded where it is not: so a
complete picture does not change when they are put there.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from PIL import Image as Pillow

from counterveil.errors import ImageBrokenError
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_BITS = bytes(0xFE - 37 * i % 97 for i in range(251))  # ones first: libjpeg paints in with zeros
_FILLER = b"".join(_BITS + bytes((0xFF, 0xD0 + i)) for i in range(8)) + _BITS


def survey(data: bytes, limits: Limits) -> Layout:
    """Walk the segments to the end marker.

    Raises:
        ImageBrokenError: it ends early, or holds no picture.
        ImageTooLargeError: over a limit.
    """
    return Layout(None, walk(data, 0, limits).end)


def check_complete(data: bytes, offset: int, decoded: Pillow.Image, found: Found) -> None:
    """Raise where part of a picture was painted in for want of data.

    Args:
        data: the file.
        offset: where the picture starts in it.
        decoded: the picture as it was decoded.
        found: by ``walk``, at that offset.

    Raises:
        ImageBrokenError: the picture is not all there.
    """
    if found.arithmetic:  # its coder may leave zeros out at the end, and means them
        return
    # A file cut between 0xFF and the zero that belongs to it would start a marker here.
    longer = data[offset : found.end - 2].rstrip(b"\xff") + _FILLER + b"\xff\xd9"
    with Pillow.open(io.BytesIO(longer), formats=("JPEG",)) as again:
        same = again.size == decoded.size and again.tobytes() == decoded.tobytes()
    if not same:
        raise ImageBrokenError(
            "truncated: part of the picture is missing, though the file has an end; "
            "ask for an intact copy"
        )


@dataclass
class Found:
    """What a picture's segments tell.

    Attributes:
        end: offset behind its end marker.
        arithmetic: it is coded arithmetically.
        width: pixels; 0 before its header was met.
        height: pixels.
        scans: passes over its pixels.
    """

    end: int = 0
    arithmetic: bool = False
    width: int = 0
    height: int = 0
    scans: int = 0


def walk(data: bytes, offset: int, limits: Limits) -> Found:
    """Walk one picture's segments; to be done before a codec sees them.

    Args:
        data: the file.
        offset: where the picture starts in it.
        limits: on its size and its scans.

    Raises:
        ImageBrokenError: it ends early, or holds no picture.
        ImageTooLargeError: over a limit.
    """
    found, position = Found(), offset + 2
    while match := _MARKER.search(data, position):
        marker, position = match.group()[1], match.end()
        if marker == _EOI:
            if not found.scans:
                raise ImageBrokenError("a JPEG without a scan: there is no picture in it")
            found.end = position
            return found
        if marker in (0x01, _SOI):
            continue
        if marker in _SIZES and not found.width:
            found.arithmetic = marker in _ARITHMETIC
            found.width, found.height = _size(data, position, limits)
        if marker == _SOS:
            _count_scan(found, limits)
        position += int.from_bytes(data[position : position + 2], "big")
    raise ImageBrokenError(
        f"truncated: it ends after {len(data) - offset} bytes without the end marker; "
        "ask for an intact copy"
    )


def _count_scan(found: Found, limits: Limits) -> None:
    found.scans += 1
    pixels = found.scans * found.width * found.height
    limits.check("scans", found.scans, f"{found.scans} scans")
    limits.check(
        "scan_pixels", pixels, f"{found.scans} scans of {found.width} x {found.height} pixels"
    )


def _size(data: bytes, position: int, limits: Limits) -> tuple[int, int]:
    """Width and height."""
    height, width = struct.unpack_from(">HH", data, position + 3)
    if not width or not height:
        raise ImageBrokenError(
            f"its header says {width} x {height} pixels: there is no image in it"
        )
    limits.check_size(width, height)
    return width, height
