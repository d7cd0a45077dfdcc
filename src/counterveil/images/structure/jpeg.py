"""JPEG: segments up to the end marker, and whether every pixel was decoded from the file.

libjpeg fills what a file lacks with grey and only warns, and Pillow does not pass the warning on.
Bits inserted before the end marker are ignored where the picture is complete, and decoded where
it is not. So a complete picture decodes to the same pixels with them and without them.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from PIL import Image as Pillow

from counterveil.images.codec_errors import damaged, unsupported
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_HIERARCHICAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_LOSSLESS = frozenset({0xC3, 0xCB})
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA
# The bits start with ones, because libjpeg fills in zeros. All eight restart markers follow,
# so that the decoder meets the one it waits for.
_BITS = bytes(0xFE - 37 * i % 97 for i in range(251))
_FILLER = b"".join(_BITS + bytes((0xFF, 0xD0 + i)) for i in range(8)) + _BITS


@dataclass
class Segments:
    """What the segments of one picture say.

    Attributes:
        start: offset of the picture.
        pixels: offset of the first scan; 0 before it.
        end: offset behind the end marker.
        arithmetic: the picture uses arithmetic coding.
        width: pixels; 0 before the frame header.
        height: pixels; 0 before the frame header.
        scans: number of passes over the pixels.
    """

    start: int = 0
    pixels: int = 0
    end: int = 0
    arithmetic: bool = False
    width: int = 0
    height: int = 0
    scans: int = 0


def read_jpeg(data: bytes, limits: Limits) -> Layout:
    """Walk the segments of the first picture to its end marker.

    Raises:
        ImageBrokenError: the file ends before the end marker.
        ImageTooLargeError: over a limit.
    """
    return Layout(None, read_segments(data, 0, limits).end)


def read_segments(data: bytes, offset: int, limits: Limits) -> Segments:
    """Walk the segments of one picture; call it before a codec decodes the picture.

    Args:
        data: the file.
        offset: start of the picture in the file.
        limits: for its size and its scans.

    Raises:
        ImageBrokenError: the file ends before the end marker.
        ImageTooLargeError: over a limit.
    """
    segments, position = Segments(offset), offset + 2
    while match := _MARKER.search(data, position):
        marker, position = match.group()[1], match.end()
        if marker == _EOI:
            segments.end = position
            return segments
        if marker in (_TEM, _SOI):  # markers without a length
            continue
        if marker in _FRAME_HEADERS and not segments.width:
            _check_supported(marker, data[position + 2 : position + 3])
            segments.arithmetic = marker in _ARITHMETIC
            segments.height, segments.width = struct.unpack_from(">HH", data, position + 3)
            limits.check_size(segments.width, segments.height)  # bomb.jpg: guards memory
        if marker == _SOS:
            segments.pixels = segments.pixels or position
            _count_scan(segments, limits)
        position += int.from_bytes(data[position : position + 2], "big")
    # cut-end.jpg: libjpeg supplies the missing end marker itself
    raise damaged(
        f"truncated: the file ends after {len(data) - offset} bytes without the end marker"
    )


def holds_only_tables(data: bytes, limits: Limits) -> bool:
    """Whether this is a JPEG without a picture, which holds the tables of others.

    References:
        ITU-T T.81, B.5: abbreviated format for table-specification data.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    segments = read_segments(data, 0, limits)
    return not segments.scans and not segments.width


def check_complete(data: bytes, offset: int, decoded: Pillow.Image, segments: Segments) -> None:
    """Raise where libjpeg filled in pixels for which the file has no data.

    Args:
        data: the file.
        offset: start of the picture in the file.
        decoded: the picture as Pillow decoded it.
        segments: of the same picture.

    Raises:
        ImageBrokenError: part of the picture is missing.
    """
    if segments.arithmetic:  # an arithmetic coder may omit zeros at the end of its data
        return
    # A file cut between 0xFF and the zero that belongs to it would start a marker here.
    longer = data[offset : segments.end - 2].rstrip(b"\xff") + _FILLER + b"\xff\xd9"
    with Pillow.open(io.BytesIO(longer), formats=("JPEG",)) as again:
        same = again.size == decoded.size and again.tobytes() == decoded.tobytes()
    if not same:  # painted.jpg, empty-scan.jpg, taller.jpg: Pillow shows grey instead
        raise damaged("truncated: part of the picture is missing, though the file has an end")


def _check_supported(marker: int, precision: bytes) -> None:
    """Refuse what libjpeg would call broken, though it is whole."""
    if marker in _HIERARCHICAL:
        raise unsupported("a hierarchical JPEG")
    if marker in _LOSSLESS:
        raise unsupported("a lossless JPEG")
    if precision not in (b"", b"\x08"):
        raise unsupported(f"a JPEG of {precision[0]} bits a channel")


def _count_scan(segments: Segments, limits: Limits) -> None:
    """bomb-scans.jpg: each pass over all pixels costs 100 bytes of file. Guards time."""
    segments.scans += 1
    pixels = segments.scans * segments.width * segments.height
    limits.check("scans", segments.scans, f"{segments.scans} scans")
    limits.check(
        "scan_pixels",
        pixels,
        f"{segments.scans} scans of {segments.width} x {segments.height} pixels",
    )
