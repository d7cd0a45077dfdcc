"""Files that appear only when they are complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file, or change nothing.

    Raises:
        OSError: the folder is missing, full or read-only; nothing is left behind.
    """
    with atomic_file(path) as file:
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new binary file that replaces ``path`` when the block ends without an error.

    No byte of the old file survives behind the new end. A link at ``path`` is replaced, not
    followed.

    Raises:
        OSError: the folder is missing, full or read-only; nothing is left behind.
    """
    path = Path(path)
    # A rename is atomic only inside one file system, so the draft is made beside its target.
    draft = path.with_name(f".counterveil-{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # before the rename: a crash must not leave an empty file
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the rename itself to disk, on systems that let a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
