"""GIF and WebP: frames are counted and sizes checked before a codec runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from counterveil.images.codec_errors import damaged
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout


@dataclass(frozen=True)
class GifFrame:
    """A frame of a GIF.

    Attributes:
        left: column on the canvas.
        top: row on the canvas.
        width: pixels.
        height: pixels.
        flags: of the image descriptor.
        palette: colours, its own or those of the file; empty where neither has any.
        palette_flags: flags that hold the size of the palette.
        disposal: 0 and 1 keep, 2 clear, others restore what was there before.
        transparent: index of the transparent colour.
        data: compressed pixels, with their code size.
    """

    left: int
    top: int
    width: int
    height: int
    flags: int
    palette: bytes
    palette_flags: int
    disposal: int
    transparent: int | None
    data: bytes


class GifReader:
    """Reads on from a position in a GIF, and raises where the file ends first.

    Attributes:
        width: of the canvas that the file declares, in pixels.
        height: of the same.
        background: index of the background colour.
        palette: colours of the file.
        has_end: whether the end marker was read.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.frames = 0
        self.has_end = False
        header = struct.unpack("<6xHHBBx", self.take(13))
        self.width, self.height, self.flags, self.background = header
        self.palette = self.take_colour_table(self.flags)

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        part = self.data[self.position : self.position + count]
        # cut-end.gif, cut-later.gif: Pillow shows the frames before the cut, as if all were there
        if len(part) < count:
            raise damaged(
                f"truncated: the file ends after {len(self.data)} bytes and {self.frames} whole "
                "frames, before the end of the GIF"
            )
        self.position += count
        return part

    def next_block(self) -> bytes:
        """First byte of the next block; empty where a file with frames has ended."""
        ended = self.position >= len(self.data) and self.frames > 0
        return b"" if ended else self.take(1)

    def take_colour_table(self, flags: int) -> bytes:
        """The colours that follow, if ``flags`` say so."""
        return self.take(3 << ((flags & 7) + 1)) if flags & 128 else b""

    def take_sub_blocks(self) -> bytes:
        """All sub-blocks with their sizes, and the empty one at their end."""
        start = self.position
        while size := self.take(1)[0]:
            self.take(size)
        return self.data[start : self.position]


def gif_frames(reader: GifReader) -> Iterator[GifFrame]:
    """Walk the blocks of a GIF to its trailer.

    Raises:
        ImageBrokenError: see ``read_gif``.
    """
    disposal, transparent = 0, None
    while block := reader.next_block():
        if block == b";":
            reader.has_end = True
            return
        if block == b"!":
            label, body = reader.take(1), reader.take_sub_blocks()
            if label == b"\xf9" and body[0] >= 4:  # graphic control of the next frame
                disposal = body[1] >> 2 & 7
                transparent = body[4] if body[1] & 1 else None
        elif block == b",":
            left, top, width, height, flags = struct.unpack("<HHHHB", reader.take(9))
            palette = reader.take_colour_table(flags)
            palette_flags = flags if palette else reader.flags
            palette = palette or reader.palette
            pixels = reader.take(1) + reader.take_sub_blocks()
            reader.frames += 1
            yield GifFrame(
                left, top, width, height, flags, palette, palette_flags, disposal, transparent,
                pixels,
            )  # fmt: skip
            disposal, transparent = 0, None
        else:  # block.gif: Pillow skips what it does not know
            raise damaged(f"byte {reader.position - 1} starts no block that GIF has")


def read_gif(data: bytes, limits: Limits) -> Layout:
    """Check the blocks of a GIF to its trailer.

    Raises:
        ImageBrokenError: the file ends inside a block or before its first frame, or holds an
            unknown block.
        ImageTooLargeError: over a limit.
    """
    reader = GifReader(data)
    width, height = reader.width, reader.height
    for frame in gif_frames(reader):
        # bomb.gif: Pillow enlarges the canvas to hold every frame. Guards memory.
        width = max(width, frame.left + frame.width)
        height = max(height, frame.top + frame.height)
        limits.check_size(width, height)
        # bomb-frames.gif: guards time
        limits.check("frames_held", reader.frames, f"{reader.frames} frames")
    # no-end.gif: every browser shows it, and nothing of a frame is missing
    notes = () if reader.has_end else ("it ends without the end marker of a GIF",)
    return Layout(reader.frames, reader.position, notes=notes)


def read_webp(data: bytes, limits: Limits) -> Layout:
    """Check the canvas of a WebP and count its frames; libwebp itself refuses a truncated file.

    Raises:
        ImageTooLargeError: over a limit.
        struct.error: the file ends inside its first header.
    """
    limits.check_size(*_webp_canvas(data))  # bomb.webp: libwebp allocates it all. Guards memory.
    frames = 0
    for name, _ in webp_chunks(data):
        frames += name == b"ANMF"
        limits.check("frames_held", frames, f"{frames} frames")  # bomb-frames.webp: guards time
    return Layout(max(frames, 1), _webp_end(data))


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and body of each chunk.

    Raises:
        struct.error: the file ends inside its first header.
    """
    view = memoryview(data)[: _webp_end(data)]
    position = 12
    while position + 8 <= len(view):
        name, length = struct.unpack_from("<4sI", view, position)
        yield name, view[position + 8 : position + 8 + length]
        position += 8 + length + (length & 1)


def _webp_end(data: bytes) -> int:
    return 8 + int(struct.unpack_from("<I", data, 4)[0])


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height in pixels; 0 where the first chunk is no image, which Pillow refuses."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
