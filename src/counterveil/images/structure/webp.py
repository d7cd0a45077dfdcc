"""WebP: the canvas, before the codec allocates it, and the container's length."""

from __future__ import annotations

import struct

from counterveil.errors import ImageBrokenError
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout


def survey(data: bytes, limits: Limits) -> Layout:
    """Read the canvas and walk the chunks; the codec counts the frames that it can show.

    Raises:
        ImageBrokenError: it ends early, or has no canvas.
        ImageTooLargeError: over a limit.
    """
    if len(data) < 30:
        raise ImageBrokenError(f"truncated: {len(data)} bytes hold no WebP; ask for an intact copy")
    limits.check_size(*_canvas(data))
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    position, frames = 12, 0
    while position + 8 <= min(end, len(data)):
        name, length = struct.unpack_from("<4sI", data, position)
        frames += name == b"ANMF"
        limits.check("frames_held", frames, f"{frames} frames")
        position += 8 + length + (length & 1)
    if end > len(data):
        where = f" (it breaks off in frame {frames - 1})" if frames else ""
        raise ImageBrokenError(
            f"truncated: its header promises {end} bytes and {len(data)} are there{where}; "
            "ask for an intact copy"
        )
    return Layout(max(frames, 1), end)


def _canvas(data: bytes) -> tuple[int, int]:
    """Width and height, pixels."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageBrokenError("a WebP that starts with no image; ask for an intact copy")
