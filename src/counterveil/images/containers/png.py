"""PNG: chunks and their checksums, frames, and whether every row is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from counterveil.errors import ImageBrokenError
from counterveil.images.containers.layout import Layout
from counterveil.images.limits import Limits

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True)
class Header:
    """The image header.

    Attributes:
        width: pixels.
        height: pixels.
        depth: bits a sample.
        samples: a pixel.
        interlaced: in the seven passes of Adam7.
    """

    width: int
    height: int
    depth: int
    samples: int
    interlaced: bool

    def raw_bytes(self, width: int, height: int) -> int:
        """Bytes of a frame once inflated, a filter byte for each row included."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for x, y, step_x, step_y in passes:
            columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.depth * self.samples // 8))
        return total


def survey(data: bytes, limits: Limits) -> Layout:
    """Walk the chunks to the end.

    Raises:
        ImageBrokenError: a chunk or its checksum is damaged, rows or frames are missing.
        ImageTooLargeError: over a limit.
    """
    header: Header | None = None
    streams: list[_Stream] = []
    promised, controls, end = 0, 0, 0
    for name, body, behind in chunks(data):
        end = behind
        if name == b"IHDR" and header is None:
            header = _header(body)
            limits.check_size(header.width, header.height)
        elif header is None:
            raise ImageBrokenError("a PNG without a header; ask for an intact copy")
        elif name == b"acTL":
            promised = struct.unpack(">I", body[:4])[0]
        elif name == b"fcTL":
            controls += 1
            limits.check("frames_held", controls, f"{controls} frames")
            if streams or controls > 1:
                streams.append(_Stream(header.raw_bytes(*struct.unpack(">II", body[4:12]))))
        elif name == b"IDAT":
            if not streams:
                streams.append(_Stream(header.raw_bytes(header.width, header.height)))
            streams[0].feed(body)
        elif name == b"fdAT" and streams:
            streams[-1].feed(body[4:])
    return _judge(header, streams, promised, controls, end)


def _judge(
    header: Header | None, streams: list[_Stream], promised: int, controls: int, end: int
) -> Layout:
    if header is None or not streams:
        raise ImageBrokenError("a PNG without pixels; ask for an intact copy")
    for index, stream in enumerate(streams):
        stream.close(index)
    if promised and promised != controls:
        raise ImageBrokenError(
            f"the file promises {promised} frames and holds {controls}; ask for an intact copy"
        )
    return Layout(len(streams) if promised else 1, end, header.depth)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Each chunk's name, body, and the offset behind it, up to and with IEND.

    Raises:
        ImageBrokenError: the file ends before IEND, or a checksum does not fit.
    """
    position, name = 8, b""
    view = memoryview(data)
    while name != b"IEND":
        if len(data) < position + 12:
            raise ImageBrokenError(
                f"truncated: it ends after {len(data)} bytes, before the PNG does; "
                "ask for an intact copy"
            )
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageBrokenError(
                f"truncated: its {_plain(name)} chunk needs {end - len(data)} more bytes; "
                "ask for an intact copy"
            )
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ImageBrokenError(
                f"the checksum of its {_plain(name)} chunk is wrong, so bytes were changed; "
                "ask for an intact copy"
            )
        yield name, data[position + 8 : end - 4], end
        position = end


def _plain(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")


def _header(body: bytes) -> Header:
    if len(body) != 13:
        raise ImageBrokenError("a PNG header of the wrong length; ask for an intact copy")
    width, height, depth, colour, *_, interlace = struct.unpack(">IIBBBBB", body)
    if not width or not height:
        raise ImageBrokenError(
            f"its header says {width} x {height} pixels: there is no image in it"
        )
    if colour not in _SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise ImageBrokenError(
            f"its header says colour type {colour} at {depth} bits, which PNG does not have"
        )
    return Header(width, height, depth, _SAMPLES[colour], bool(interlace))


class _Stream:
    """Inflates a frame's data to count them; keeps nothing."""

    def __init__(self, needed: int) -> None:
        self._left = needed
        self._inflate = zlib.decompressobj()

    def feed(self, body: bytes) -> None:
        """Count what ``body`` inflates to, up to what the frame needs."""
        while body and self._left > 0 and not self._inflate.eof:
            self._left -= len(self._inflate.decompress(body, 1 << 18))
            body = self._inflate.unconsumed_tail

    def close(self, index: int) -> None:
        """Raise where rows are missing."""
        if self._left > 0:
            self._left -= len(self._inflate.flush())
        if self._left > 0:
            raise ImageBrokenError(
                f"rows are missing: the data of frame {index} end {self._left} bytes early; "
                "ask for an intact copy"
            )
