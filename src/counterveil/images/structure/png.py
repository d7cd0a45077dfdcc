"""PNG: chunks and their checksums, frames, and whether every row is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from counterveil.errors import ImageBrokenError
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

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
        indexed: samples are indices into a palette.
        interlaced: in the seven passes of Adam7.
    """

    width: int
    height: int
    depth: int
    samples: int
    indexed: bool
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
    walk = _Walk(limits)
    try:
        for name, body, end in chunks(data):
            walk.take(name, body)
            walk.end = end
        return walk.layout()
    except ImageBrokenError as error:
        if walk.controls < 2:
            raise
        raise ImageBrokenError(f"in frame {len(walk.streams) - 1}: {error}") from error


class _Walk:
    """What the chunks so far have told."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.header: Header | None = None
        self.palette = False
        self.streams: list[_Stream] = []  # one a frame
        self.promised = 0
        self.controls = 0
        self.end = 0

    def take(self, name: bytes, body: bytes) -> None:
        """Take note of one chunk."""
        if self.header is None:
            if name != b"IHDR":
                raise ImageBrokenError("a PNG without a header; ask for an intact copy")
            self.header = _header(body)
            self.limits.check_size(self.header.width, self.header.height)
        elif name == b"PLTE":
            self.palette = True
        elif name == b"acTL":
            self.promised = struct.unpack(">I", body[:4])[0]
        elif name == b"fcTL":
            self._control(self.header, body)
        elif name == b"IDAT":
            self._pixels(self.header, body)
        elif name == b"fdAT" and self.streams:
            self.streams[-1].feed(body[4:])

    def _control(self, header: Header, body: bytes) -> None:
        self.controls += 1
        self.limits.check("frames_held", self.controls, f"{self.controls} frames")
        if self.streams:  # the first one may speak of the IDAT that follows
            self.streams[-1].close(len(self.streams) - 1)
        if self.streams or self.controls > 1:
            width, height = struct.unpack(">II", body[4:12])
            self.streams.append(_Stream(header.raw_bytes(width, height)))

    def _pixels(self, header: Header, body: bytes) -> None:
        if header.indexed and not self.palette:
            raise ImageBrokenError("its pixels refer to a palette that is missing")
        if not self.streams:
            self.streams.append(_Stream(header.raw_bytes(header.width, header.height)))
        self.streams[0].feed(body)

    def layout(self) -> Layout:
        """The verdict, at the end."""
        if self.header is None or not self.streams:
            raise ImageBrokenError("a PNG without pixels; ask for an intact copy")
        self.streams[-1].close(len(self.streams) - 1)
        if self.promised and self.promised != self.controls:
            raise ImageBrokenError(
                f"the file promises {self.promised} frames and holds {self.controls}; "
                "ask for an intact copy"
            )
        return Layout(len(self.streams) if self.promised else 1, self.end, self.header.depth)


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
        if not name.isalpha():
            raise ImageBrokenError(
                f"byte {position} starts no chunk that PNG has; ask for an intact copy"
            )
        end = position + 12 + length
        if end > len(data):
            raise ImageBrokenError(
                f"truncated: its {name.decode()} chunk needs {end - len(data)} more bytes; "
                "ask for an intact copy"
            )
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ImageBrokenError(
                f"the checksum of its {name.decode()} chunk is wrong, so bytes were changed; "
                "ask for an intact copy"
            )
        yield name, data[position + 8 : end - 4], end
        position = end


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
    return Header(width, height, depth, _SAMPLES[colour], colour == 3, bool(interlace))


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
