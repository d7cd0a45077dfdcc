"""A path or bytes -> bytes, without hanging and without reading more than allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import translated
from counterveil.images.limits import Limits


def read(source: bytes | Path, name: str, limits: Limits) -> bytes:
    """The file's bytes.

    Args:
        source: a regular file's path (links are followed), or the bytes themselves.
        name: what errors call it.
        limits: ``bytes`` is checked before anything is read.

    Raises:
        ImageTooLargeError: over the limit.
        ImageBrokenError: empty, missing, unreadable, or no regular file.
    """
    with translated(name):
        data = source if isinstance(source, bytes) else _read_file(source, limits)
        limits.check("bytes", len(data), f"{len(data)} bytes")
        if not data:
            raise ImageBrokenError("the file is empty (0 bytes); send it again")
        return data


def _read_file(path: Path, limits: Limits) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise ImageBrokenError(
            f"the file cannot be opened ({error.strerror}); check the path and its permissions"
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageBrokenError(_refusal(path, status.st_mode))
        limits.check("bytes", status.st_size, f"{status.st_size} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limits.bytes + 1)  # it may have grown since
    finally:
        os.close(descriptor)


def _refusal(path: Path, mode: int) -> str:
    if stat.S_ISDIR(mode) and path.is_symlink():
        return "a link to a folder, which is not followed; name the folder itself"
    return f"{_kind(mode)}, not a file; name a file"


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((words for test, words in kinds if test(mode)), "a device")
