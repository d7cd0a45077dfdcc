"""Compose the frames of a GIF or an APNG as browsers do, where Pillow does it in another way."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from PIL import Image as Pillow

from counterveil.images.structure.multiframe import GifReader, gif_frames
from counterveil.images.structure.png import chunks

_PNG_DISPOSAL: tuple[Literal["keep", "clear", "restore"], ...] = ("keep", "clear", "restore")
"""dispose_op of an APNG frame."""
_SHARED = MappingProxyType({b"PLTE": 768, b"tRNS": 256})
"""Chunks that every frame of an APNG needs to be decoded by itself -> bytes that they may use."""


@dataclass(frozen=True)
class _Step:
    """A frame as a file of its own, and what is done with it.

    Attributes:
        file: the frame alone; empty where it has no pixels.
        corner: its left and top on the canvas.
        disposal: what becomes of its rectangle afterwards.
        over: laid over what is there; otherwise it replaces it.
        alone: a still picture that is not part of the animation.
    """

    file: bytes
    corner: tuple[int, int]
    disposal: Literal["keep", "clear", "restore"]
    over: bool
    alone: bool = False


class Canvas:
    """The canvas of an animation, transparent where no frame has painted.

    Attributes:
        background: red, green and blue of the background colour of a GIF, if it has one.

    References:
        GIF89a specification, 23; PNG (Third Edition), 11.3.6.2 fcTL.
    """

    def __init__(
        self, format: str, steps: list[_Step], background: tuple[int, ...] | None = None
    ) -> None:
        self.background = background
        self._format = format
        self._steps = steps
        self._done = 0
        self._canvas: Pillow.Image | None = None

    def frame(self, index: int, size: tuple[int, int]) -> Pillow.Image:
        """The canvas, as RGBA, while frame ``index`` is shown.

        Args:
            index: of a frame, greater than in the call before.
            size: width and height of the canvas.

        Raises:
            Exception: of Pillow; see ``codec_errors``.
        """
        canvas = Pillow.new("RGBA", size)
        if self._canvas is not None:  # a GIF grows with frames that reach outside
            canvas.paste(self._canvas)
        shown = canvas
        for step in self._steps[self._done : index + 1]:
            shown, canvas = self._apply(step, canvas)
        self._canvas, self._done = canvas, index + 1
        return shown

    def _apply(self, step: _Step, canvas: Pillow.Image) -> tuple[Pillow.Image, Pillow.Image]:
        """The canvas with the frame, and the canvas for the next one."""
        if not step.file:
            return canvas, canvas
        with Pillow.open(io.BytesIO(step.file), formats=(self._format,)) as image:
            frame = image.convert("RGBA")
        shown = canvas.copy()
        if step.over:
            shown.alpha_composite(frame, step.corner)
        else:
            shown.paste(frame, step.corner)
        if step.alone:
            return shown, Pillow.new("RGBA", canvas.size)
        if step.disposal == "restore":
            return shown, canvas
        after = shown
        if step.disposal == "clear":
            after = shown.copy()
            after.paste(Pillow.new("RGBA", frame.size), step.corner)
        return shown, after


def open_canvas(data: bytes, format: str) -> Canvas | None:
    """The canvas of a file of several layers, if Pillow composes them unlike browsers.

    Args:
        data: the file, after its structure check.
        format: as ``signatures.detect_format`` names it.
    """
    if format == "GIF":
        return _gif_canvas(data)
    return _png_canvas(data) if format == "PNG" and b"fcTL" in data else None


def _gif_canvas(data: bytes) -> Canvas | None:
    """Pillow clears to a colour; it also clears where only an earlier frame asked for that."""
    reader = GifReader(data)
    frames = list(gif_frames(reader))
    first = frames[0]
    covered = first.left == first.top == 0 and (
        first.width >= reader.width and first.height >= reader.height
    )
    if covered and all(frame.disposal < 2 for frame in frames):
        return None
    steps = []
    for frame in frames:
        palette, bits = frame.palette, frame.palette_flags & 7
        header = struct.pack(
            "<6sHHBBB", b"GIF89a", frame.width, frame.height, 128 | bits if palette else 0, 0, 0
        )
        if frame.transparent is not None:
            header += palette + struct.pack("<BBBBHBB", 33, 249, 4, 1, 0, frame.transparent, 0)
        else:
            header += palette
        place = struct.pack("<BHHHHB", 44, 0, 0, frame.width, frame.height, frame.flags & 64)
        file = header + place + frame.data + b";" if frame.width and frame.height else b""
        disposal = _PNG_DISPOSAL[min(max(frame.disposal - 1, 0), 2)]
        steps.append(_Step(file, (frame.left, frame.top), disposal, over=True))
    colour = tuple(reader.palette[3 * reader.background :][:3])
    return Canvas("GIF", steps, colour if len(colour) == 3 else None)


def _png_canvas(data: bytes) -> Canvas | None:
    """Pillow pastes with alpha as a mask, so layers over a transparent canvas stay too faint."""
    depth, kind = data[24:26]
    key = any(name == b"tRNS" for name, _, _ in chunks(data))
    # What else a key does is named: see the structure check.
    if kind not in (4, 6) and not (key and depth < 16 and kind != 0):
        return None
    steps = list(_png_steps(data))
    return Canvas("PNG", steps) if any(step.over for step in steps[1:]) else None


def _png_steps(data: bytes) -> Iterator[_Step]:
    header, shared = b"", dict[bytes, bytes]()
    control, pixels, alone = b"", list[bytes](), False
    for name, body, _ in chunks(data):
        if name == b"IHDR":
            header = body
        elif name in _SHARED:  # each frame repeats it: a long one must take no memory
            shared[name] = _chunk(name, body[: _SHARED[name]])
        elif name in (b"fcTL", b"IEND"):
            if pixels:
                yield _png_step(
                    header, b"".join(shared.values()), b"".join(pixels), control, alone=alone
                )
            control, pixels = body, []
        elif name == b"IDAT":
            alone = not control
            pixels.append(body)
        elif name == b"fdAT":
            alone = False
            pixels.append(body[4:])


def _png_step(header: bytes, shared: bytes, pixels: bytes, control: bytes, *, alone: bool) -> _Step:
    if alone:
        control = struct.pack(">I", 0) + header[:8] + bytes(14)
    file = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", control[4:12] + header[8:]) + shared
    file += _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    left, top, _, _, disposal, blend = struct.unpack_from(">IIHHBB", control, 12)
    return _Step(file, (left, top), _PNG_DISPOSAL[min(disposal, 2)], blend == 1, alone)


def _chunk(name: bytes, body: bytes) -> bytes:
    block = name + body
    return struct.pack(">I", len(body)) + block + struct.pack(">I", zlib.crc32(block))
