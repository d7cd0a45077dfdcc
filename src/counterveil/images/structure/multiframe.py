"""GIF and WebP: frames are counted and sizes checked before a codec runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from counterveil.images.codec_errors import damaged
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout


class _GifReader:
    """Reads on from a position in a GIF, and raises where the file ends first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.frames = 0

    def take(self, count: int) -> bytes:
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

    def skip_colour_table(self, flags: int) -> None:
        if flags & 128:
            self.take(3 << ((flags & 7) + 1))

    def skip_sub_blocks(self) -> None:
        while size := self.take(1)[0]:
            self.take(size)


def read_gif(data: bytes, limits: Limits) -> Layout:
    """Walk the blocks of a GIF to its trailer.

    Raises:
        ImageBrokenError: the file ends inside a block or before its first frame, or holds an
            unknown block.
        ImageTooLargeError: over a limit.
    """
    reader = _GifReader(data)
    width, height, flags = struct.unpack("<6xHHBxx", reader.take(13))
    reader.skip_colour_table(flags)
    notes: tuple[str, ...] = ()
    while (block := reader.next_block()) != b";":
        if not block:  # no-end.gif: every browser shows it, and nothing of a frame is missing
            notes = ("it ends without the end marker of a GIF",)
            break
        if block == b"!":
            reader.take(1)
            reader.skip_sub_blocks()
        elif block == b",":
            left, top, columns, rows, flags = struct.unpack("<HHHHB", reader.take(9))
            # bomb.gif: Pillow enlarges the canvas to hold every frame. Guards memory.
            width, height = max(width, left + columns), max(height, top + rows)
            limits.check_size(width, height)
            reader.skip_colour_table(flags)
            reader.take(1)
            reader.skip_sub_blocks()
            reader.frames += 1
            # bomb-frames.gif: guards time
            limits.check("frames_held", reader.frames, f"{reader.frames} frames")
        else:  # block.gif: Pillow skips what it does not know
            raise damaged(f"byte {reader.position - 1} starts no block that GIF has")
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
