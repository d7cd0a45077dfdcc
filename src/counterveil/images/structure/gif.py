"""GIF: blocks to the trailer, frames, and the canvas that all of them need."""

from __future__ import annotations

import struct

from counterveil.errors import ImageBrokenError
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout


class _Cursor:
    """Reads on, and says so where the file ends first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.frames = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.position : self.position + count]
        if len(part) < count:
            raise ImageBrokenError(
                f"truncated: it ends after {len(self.data)} bytes, behind {self.frames} whole "
                "frames and before the GIF does; ask for an intact copy"
            )
        self.position += count
        return part

    def skip_blocks(self) -> int:
        """Pass sub-blocks up to the empty one; how many bytes they hold."""
        total = 0
        while size := self.take(1)[0]:
            self.take(size)
            total += size
        return total


def survey(data: bytes, limits: Limits) -> Layout:
    """Walk the blocks to the trailer.

    Raises:
        ImageBrokenError: it ends before the trailer, or holds no frame.
        ImageTooLargeError: over a limit.
    """
    cursor = _Cursor(data)
    width, height, flags = struct.unpack("<6xHHBxx", cursor.take(13))
    cursor.take(_table(flags))
    while (mark := cursor.take(1)) != b";":
        if mark == b"!":
            cursor.take(1)
            cursor.skip_blocks()
        elif mark == b",":
            left, top, columns, rows, flags = struct.unpack("<HHHHB", cursor.take(9))
            width, height = max(width, left + columns), max(height, top + rows)
            limits.check_size(width, height)
            cursor.take(_table(flags) + 1)
            _check_frame(columns, rows, cursor.skip_blocks(), cursor.frames)
            cursor.frames += 1
            limits.check("frames_held", cursor.frames, f"{cursor.frames} frames")
        else:
            raise ImageBrokenError(
                f"byte {cursor.position - 1} starts no block that GIF has; ask for an intact copy"
            )
    if not cursor.frames:
        raise ImageBrokenError("a GIF without a frame: there is no image in it")
    return Layout(cursor.frames, cursor.position)


def _check_frame(columns: int, rows: int, size: int, index: int) -> None:
    if not columns or not rows or not size:
        raise ImageBrokenError(
            f"frame {index} is empty ({columns} x {rows} pixels in {size} bytes); "
            "ask for an intact copy"
        )


def _table(flags: int) -> int:
    """Bytes of the colour table that a flags byte announces."""
    return 3 << ((flags & 7) + 1) if flags & 128 else 0
