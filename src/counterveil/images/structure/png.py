"""PNG: chunks and their checksums, frames, and whether every row is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import damaged
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels of each colour type; Pillow refuses any other type."""
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
"""Interlaced passes: first column, first row, column step, row step."""


@dataclass(frozen=True)
class Header:
    """The image header (IHDR).

    Attributes:
        width: pixels.
        height: pixels.
        bit_depth: bits per sample.
        channels: samples per pixel.
        interlaced: rows come in the seven passes of Adam7.
    """

    width: int
    height: int
    bit_depth: int
    channels: int
    interlaced: bool

    def raw_bytes(self, width: int, height: int) -> int:
        """Bytes of a decompressed frame, with one filter byte per row."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for x, y, step_x, step_y in passes:
            columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.bit_depth * self.channels // 8))
        return total


def read_png(data: bytes, limits: Limits) -> Layout:
    """Walk the chunks of a PNG to its end.

    Raises:
        ImageBrokenError: a chunk is cut or damaged, or rows or frames are missing.
        ImageTooLargeError: over a limit.
    """
    reader = _PngReader(limits)
    try:
        for name, body, end in chunks(data):
            reader.read_chunk(name, body)
            reader.end = end
        return reader.layout()
    except ImageBrokenError as error:
        if reader.frame_headers < 2:
            raise
        raise ImageBrokenError(f"in frame {len(reader.frames) - 1}: {error}") from error


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield name, body and end offset of each chunk, up to and including IEND.

    Raises:
        ImageBrokenError: the file ends before IEND, or a checksum is wrong.
    """
    position, name = 8, b""
    view = memoryview(data)
    while name != b"IEND":
        end = position + 12
        if end <= len(data):
            length, name = struct.unpack_from(">I4s", data, position)
            end += length
        if end > len(data):  # cut-end.png: Pillow reads up to the last row only
            raise damaged(f"truncated: the PNG needs at least {end - len(data)} more bytes")
        # checksum-split.png: Pillow checks no chunk of pixels
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            name_text = name.decode("ascii", "replace")
            raise damaged(f"the checksum of its {name_text} chunk is wrong, so bytes were changed")
        yield name, data[position + 8 : end - 4], end
        position = end


class _PngReader:
    """Collects what the chunks say."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.header: Header | None = None
        self.frames: list[_FrameData] = []
        self.declared_frames = 0
        self.frame_headers = 0
        self.end = 0

    def read_chunk(self, name: bytes, body: bytes) -> None:
        """Read one chunk; only the header, the pixels and the frames of an APNG count."""
        if self.header is None:
            if name == b"IHDR":  # Pillow refuses a file that does not start with it
                self.header = _read_header(body)
                # bomb.png: its rows would be counted, which takes time
                self.limits.check_size(self.header.width, self.header.height)
        elif name == b"acTL":
            self.declared_frames = struct.unpack_from(">I", body)[0]
        elif name == b"fcTL":
            self._read_frame_header(self.header, body)
        elif name == b"IDAT":
            if not self.frames:
                self._add_frame(self.header, self.header.width, self.header.height)
            self.frames[0].feed(body)
        elif name == b"fdAT" and self.frames:
            self.frames[-1].feed(body[4:])  # a sequence number comes first

    def _read_frame_header(self, header: Header, body: bytes) -> None:
        self.frame_headers += 1
        # bomb-frames.png: guards time
        self.limits.check("frames_held", self.frame_headers, f"{self.frame_headers} frames")
        # The first frame header may belong to the IDAT chunks that follow it.
        if self.frames or self.frame_headers > 1:
            self._add_frame(header, *struct.unpack_from(">II", body, 4))

    def _add_frame(self, header: Header, width: int, height: int) -> None:
        self._close_frame()
        self.frames.append(_FrameData(header.raw_bytes(width, height)))

    def _close_frame(self) -> None:
        if self.frames:
            self.frames[-1].check_complete(len(self.frames) - 1)

    def layout(self) -> Layout:
        """Check the last frame and the number of frames."""
        self._close_frame()
        # frame-count.png, fewer-frames.png: Pillow believes either of the two numbers
        if self.declared_frames and self.declared_frames != self.frame_headers:
            raise damaged(
                f"the file declares {self.declared_frames} frames and holds {self.frame_headers}"
            )
        bit_depth = self.header.bit_depth if self.header else 8
        return Layout(len(self.frames) if self.declared_frames else 1, self.end, bit_depth)


def _read_header(body: bytes) -> Header:
    width, height, bit_depth, colour_type, interlace = struct.unpack_from(">IIBBxxB", body)
    return Header(width, height, bit_depth, _CHANNELS.get(colour_type, 1), bool(interlace))


class _FrameData:
    """Decompresses the data of a frame to count its bytes; keeps none of them."""

    def __init__(self, needed: int) -> None:
        self._missing = needed
        self._decompressor = zlib.decompressobj()

    def feed(self, body: bytes) -> None:
        """Count what ``body`` decompresses to, up to what the frame needs."""
        # zlib.png: Pillow ignores damaged data. In steps of 256 KiB: a bomb must take no memory.
        while body and self._missing > 0 and not self._decompressor.eof:
            self._missing -= len(self._decompressor.decompress(body, 1 << 18))
            body = self._decompressor.unconsumed_tail

    def check_complete(self, index: int) -> None:
        """Raise where rows of frame ``index`` are missing."""
        if self._missing > 0:
            self._missing -= len(self._decompressor.flush())
        if self._missing > 0:  # last-row.png, frame-rows.png: Pillow leaves whole rows black
            raise damaged(
                f"rows are missing: the data of frame {index} end {self._missing} bytes early"
            )
