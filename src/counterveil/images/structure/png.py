"""PNG: chunks and their checksums, frames, and whether every row is there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

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
_ANCILLARY = 32
"""Bit of a chunk's first letter: a decoder may leave the chunk out."""
_FRAME_CHUNKS = frozenset({b"acTL", b"fcTL", b"fdAT"})
"""Ancillary by their names, but pixels depend on them."""
_LOOK_CHUNKS = frozenset({b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"cICP", b"eXIf"})
"""Ancillary chunks that change how the pixels look."""
_ONCE = frozenset({b"IHDR", b"PLTE", b"tRNS"})
_SRGB_CODE_POINTS = frozenset({1, 13})
"""Code points of colours (cICP) that are sRGB, or as good as it."""


@dataclass(frozen=True)
class Header:
    """The image header (IHDR).

    Attributes:
        width: pixels.
        height: pixels.
        bit_depth: bits per sample.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        channels: samples per pixel.
        interlaced: rows come in the seven passes of Adam7.
    """

    width: int
    height: int
    bit_depth: int
    colour_type: int
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
    if fault := _animation_fault(data):
        still = _without(data, _FRAME_CHUNKS)
        layout = read_png(still, limits)
        text = f"its animation is damaged ({fault}); only its still picture was assessed"
        end = None if layout.end is None else layout.end + len(data) - len(still)
        return replace(
            layout,
            end=end,
            data=layout.data or still,
            not_assessed=(*layout.not_assessed, text),
        )
    reader, wrong = _PngReader(limits), list[bytes]()
    try:
        for name, body, end in chunks(data, wrong):
            reader.read_chunk(name, body)
            reader.end = end
        layout = reader.layout()
    except ImageBrokenError as error:
        if reader.frame_headers < 2:
            raise
        raise ImageBrokenError(f"in frame {len(reader.frames) - 1}: {error}") from error
    if not wrong:
        return layout
    names = ", ".join(name.decode("ascii", "replace") for name in wrong[:9])
    note = f"the checksum of its {'chunk' if len(wrong) == 1 else 'chunks'} {names} is wrong"
    return replace(layout, data=_mend(data), notes=(note,))


def restores_frames(data: bytes) -> bool:
    """Whether a frame of an APNG is followed by what was there before it.

    References:
        PNG (Third Edition), 11.3.6.2 fcTL: dispose_op 2, APNG_DISPOSE_OP_PREVIOUS.
    """
    return any(name == b"fcTL" and body[24:25] == b"\x02" for name, body, _ in chunks(data))


def chunks(data: bytes, wrong: list[bytes] | None = None) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield name, body and end offset of each chunk, up to and including IEND.

    Args:
        data: the file.
        wrong: takes the names of ancillary chunks with a wrong checksum.

    Raises:
        ImageBrokenError: the file ends before IEND, or the checksum of a chunk that holds pixels,
            or is needed for them, is wrong.
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
        right = zlib.crc32(view[position + 4 : end - 4]).to_bytes(4, "big")
        # checksum-split.png: Pillow checks no chunk of pixels
        if right != view[end - 4 : end]:
            if name in _FRAME_CHUNKS or not name[0] & _ANCILLARY:
                text = name.decode("ascii", "replace")
                raise damaged(f"the checksum of its {text} chunk is wrong, so bytes were changed")
            if wrong is not None:
                wrong.append(name)
        yield name, data[position + 8 : end - 4], end
        position = end


def _animation_fault(data: bytes) -> str:
    """What is wrong with the order of an animation's chunks; browsers show its still picture then.

    Empty where the order is right, or where a chunk is cut or damaged.
    """
    if b"acTL" not in data:
        return ""
    number, seen, last = 0, set[bytes](), b""
    with suppress(ImageBrokenError):  # told by the walk that follows
        for name, body, _ in chunks(data):
            if name == b"acTL":
                if name in seen or b"IDAT" in seen:
                    return "its header (acTL) stands twice or too late"
                if not 0 < int.from_bytes(body[:4], "big") < 1 << 31:
                    return "it declares an impossible number of frames"
            elif name in (b"fcTL", b"fdAT"):
                if int.from_bytes(body[:4], "big") != number:
                    return f"part {number} of the sequence is missing or at another place"
                number += 1
            if last == b"fcTL" and name in (b"fcTL", b"IEND"):
                return "a frame has no data"
            if name in _FRAME_CHUNKS or name == b"IDAT":
                last = name
            seen.add(name)
        if b"acTL" in seen and b"fcTL" not in seen:
            return "it has no frames"
    return ""


def _without(data: bytes, names: frozenset[bytes]) -> bytes:
    parts, start = [data[:8]], 8
    for name, _, end in chunks(data):
        if name not in names:
            parts.append(data[start:end])
        start = end
    return b"".join((*parts, data[start:]))


def _mend(data: bytes) -> bytes:
    """The file without chunks that have a wrong checksum.

    Every browser shows such a file and leaves the chunk out. A chunk that changes how the pixels
    look is kept, with its checksum mended: programs that check none follow it, and the views with
    and without what it asks for are both assessed.
    """
    parts, end = [data[:8]], 8
    for name, body, end in chunks(data):
        block = struct.pack(">I", len(body)) + name + body
        right = zlib.crc32(block[4:]).to_bytes(4, "big")
        if right == data[end - 4 : end] or name in _LOOK_CHUNKS:
            parts += (block, right)
    return b"".join((*parts, data[end:]))


class _PngReader:
    """Collects what the chunks say."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.header: Header | None = None
        self.frames: list[_FrameData] = []
        self.declared_frames = 0
        self.frame_headers = 0
        self.end = 0
        self.key: tuple[int, ...] = ()
        self.seen: set[bytes] = set()
        self.not_assessed: list[str] = []

    def read_chunk(self, name: bytes, body: bytes) -> None:
        """Read one chunk; those count that viewers need to show the pixels."""
        self._check_repeated(name)
        if name == b"tRNS":
            self.key = struct.unpack(f">{len(body) // 2}H", body[: len(body) // 2 * 2])
        elif name == b"cICP":
            self._read_code_points(body)
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

    def _check_repeated(self, name: bytes) -> None:
        if name not in _ONCE:
            return
        if name in self.seen and name == b"tRNS":  # viewers use the first, the last or none
            self.not_assessed.append("its transparency (tRNS) stands twice; one was assessed")
        elif name in self.seen:  # two-palettes.png: Pillow takes the last one, browsers refuse
            raise damaged(f"it holds two {name.decode()} chunks")
        self.seen.add(name)

    def _read_code_points(self, body: bytes) -> None:
        primaries, transfer, *_ = body.ljust(2, b"\x00")
        if not (primaries in _SRGB_CODE_POINTS and transfer in _SRGB_CODE_POINTS):
            self.not_assessed.append(
                f"it asks for colours other than sRGB (cICP {primaries}, {transfer}); viewers that "
                "follow it show colours that were not assessed"
            )

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
        depth, kind = (self.header.bit_depth, self.header.colour_type) if self.header else (8, 2)
        needed = {0: 1, 2: 3}.get(kind, 0)
        key = self.key[:needed] if len(self.key) >= needed else ()
        if self.declared_frames and key and (depth == 16 or kind == 0):
            # Pillow blends such frames by 8 bits, or as if they were opaque
            self.not_assessed.append(
                "its frames have a transparent colour, and browsers may blend them in another way"
            )
        frames = len(self.frames) if self.declared_frames else 1
        return Layout(frames, self.end, depth, key, not_assessed=tuple(self.not_assessed))


def _read_header(body: bytes) -> Header:
    width, height, bit_depth, colour_type, interlace = struct.unpack_from(">IIBBxxB", body)
    channels = _CHANNELS.get(colour_type, 1)
    return Header(width, height, bit_depth, colour_type, channels, bool(interlace))


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
