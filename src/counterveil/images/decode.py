"""Decodes untrusted files into RGB frames, in every way in which viewers show them."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import collect_warnings, translate_codec_errors
from counterveil.images.limits import Limits
from counterveil.images.pictures import decode_file, decode_further, left_out
from counterveil.images.signatures import detect_format, suffix_notes
from counterveil.types import Frame

_DEFAULT = Limits()


def load(
    source: bytes | Path, *, name: str | None = None, limits: Limits = _DEFAULT
) -> tuple[Frame, ...]:
    """Decode an untrusted file.

    Supports PNG, JPEG, WebP, GIF, TIFF, BMP and AVIF, detected by content. The plain view of a
    frame applies the EXIF orientation, lays transparency on white and scales wider values to
    8 bits; 8-bit RGB stays exact, a colour profile is dropped. Where other viewers show something
    else, further views follow it (``Frame.view``). ``Frame.notes`` lists every change.

    Args:
        source: bytes of a file, or path of a regular file (links are followed).
        name: name in errors and frames; default: the file's name.
        limits: on the cost of the file.

    Returns:
        The frames to assess: one of a still image; of an animation or a document,
        ``limits.frames`` evenly spaced ones with the first and the last among them. Each comes in
        all its different views, the plain one first. Then further pictures in the file, such as
        thumbnails (``Frame.released`` is ``False``). ``Frame.not_assessed`` names the rest.

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
            decoded = decode_file(data, format, limits)
            further = decode_further(decoded, limits)
    remarks = tuple(f"the decoder remarked: {text}" for text in warnings)
    notes = suffix_notes(name, format) + decoded.notes
    notes += (*left_out(decoded), *remarks)
    not_assessed = decoded.not_assessed + further.not_assessed
    sha256 = hashlib.sha256(data).hexdigest()
    return tuple(
        Frame(view.pixels, name, sha256, format, index, decoded.total,
              notes + view.notes, view.name, released, not_assessed)
        for pictures, released in ((decoded.pictures, True), (further.pictures, False))
        for index, view in pictures
    )  # fmt: skip


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
