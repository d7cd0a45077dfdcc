"""Decodes untrusted files into RGB frames."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from PIL import Image as Pillow

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import collect_warnings, translate_codec_errors
from counterveil.images.frame import OpenedFile, decode_frame
from counterveil.images.limits import Limits
from counterveil.images.signatures import detect_format, suffix_notes
from counterveil.images.structure import Layout, read_layout
from counterveil.types import Frame

_DEFAULT = Limits()
_ANIMATED = frozenset({"PNG", "GIF", "WEBP", "AVIF"})
"""Formats in which a frame can be decoded only after all frames before it."""


def load(
    source: bytes | Path, *, name: str | None = None, limits: Limits = _DEFAULT
) -> tuple[Frame, ...]:
    """Decode an untrusted file.

    Supports PNG, JPEG, WebP, GIF, TIFF, BMP and AVIF, detected by content. Applies the EXIF
    orientation, lays transparency on white and scales wider values to 8 bits. 8-bit RGB stays
    exact: a colour profile is dropped, not applied. ``Frame.notes`` lists every change.

    Args:
        source: bytes of a file, or path of a regular file (links are followed).
        name: name in errors and frames; default: the file's name.
        limits: on the cost of the file.

    Returns:
        The frames to assess: one of a still image; of an animation or a document,
        ``limits.frames`` evenly spaced ones with the first and the last among them.

    Raises:
        ImageTooLargeError: over a limit.
        ImageBrokenError: unreadable, no image, or truncated or damaged in an assessed frame.

    Example:
        >>> from pathlib import Path
        >>> frame, *_ = load(Path("photo.jpg"))  # doctest: +SKIP
        >>> frame.pixels.shape  # doctest: +SKIP
        (480, 640, 3)
    """
    if name is None:
        name = source.name if isinstance(source, Path) else "image"
    with translate_codec_errors(name):
        data = _read(source, limits)
        format = detect_format(data)
        # A codec's message rarely says which format it failed on.
        with translate_codec_errors(format), collect_warnings() as warnings:
            layout = read_layout(data, format, limits)
            frames = _decode(data, name, format, layout, limits)
    remarks = tuple(f"the decoder remarked: {text}" for text in warnings)
    return tuple(replace(frame, notes=frame.notes + remarks) for frame in frames)


def _decode(
    data: bytes, name: str, format: str, layout: Layout, limits: Limits
) -> tuple[Frame, ...]:
    mended = layout.data or data
    with Pillow.open(io.BytesIO(mended), formats=(format,)) as image:
        limits.check_size(*image.size)
        file = OpenedFile(image, mended, format, layout, limits)
        total = file.frames
        limits.check("frames_held", total, f"{total} frames")
        if format in _ANIMATED:
            pixels = total * image.width * image.height
            limits.check("total_pixels", pixels, f"{total} frames of {pixels} pixels in all")
        indices = _spread(total, limits.frames)
        notes = suffix_notes(name, format) + file.notes() + _frame_notes(indices, total)
        sha256 = hashlib.sha256(data).hexdigest()
        frames: list[Frame] = []
        pixels_before = 0
        for index in indices:
            where = f"frame {index} of 0 to {total - 1}"
            with translate_codec_errors(where) if total > 1 else nullcontext():
                for view in decode_frame(file, index, pixels_before):
                    pixels_before += view.pixels.size // 3
                    frames.append(
                        Frame(view.pixels, name, sha256, format, index, total,
                              notes + view.notes, view.name)
                    )  # fmt: skip
    not_assessed = layout.not_assessed + _missing_frames(indices, total)
    return tuple(replace(frame, not_assessed=not_assessed) for frame in frames)


def _spread(total: int, limit: int) -> tuple[int, ...]:
    """Indices of up to ``limit`` evenly spaced frames, first and last included."""
    count = min(total, limit)
    return tuple(round(i * (total - 1) / max(count - 1, 1)) for i in range(count))


def _frame_notes(indices: tuple[int, ...], total: int) -> tuple[str, ...]:
    if total == 1:
        return ()
    which = "all" if len(indices) == total else ", ".join(map(str, indices))
    return (f"{len(indices)} of {total} frames assessed ({which})",)


def _missing_frames(indices: tuple[int, ...], total: int) -> tuple[str, ...]:
    missing = total - len(indices)
    return (f"{missing} of {total} frames were not assessed",) if missing else ()


def _read(source: bytes | Path, limits: Limits) -> bytes:
    data = source if isinstance(source, bytes) else _read_file(source, limits)
    limits.check("bytes", len(data), f"{len(data)} bytes")
    if not data:
        raise ImageBrokenError("the file is empty (0 bytes); send it again")
    return data


def _read_file(path: Path, limits: Limits) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait without end.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise ImageBrokenError(
            f"the file cannot be opened ({error.strerror}); check the path and its permissions"
        ) from error
    try:
        # The opened file is checked, not the path: the path may lead elsewhere by now.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageBrokenError(_not_a_file(path, status.st_mode))
        limits.check("bytes", status.st_size, f"{status.st_size} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limits.bytes + 1)  # the file may have grown since
    finally:
        os.close(descriptor)


def _not_a_file(path: Path, mode: int) -> str:
    if stat.S_ISDIR(mode) and path.is_symlink():
        return "a link to a folder, which is not followed; name the folder itself"
    tests = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    name = next((name for test, name in tests if test(mode)), "a device")
    return f"{name}, not a file; name a file"
