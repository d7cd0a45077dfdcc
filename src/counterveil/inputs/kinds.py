"""Which files of a folder are no pictures."""

from __future__ import annotations

import os
import stat
from mimetypes import MimeTypes
from pathlib import Path

from counterveil.images.signatures import SUFFIXES, has_signature, is_text

_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""First bytes of the ``._NAME`` files that macOS writes on foreign file systems."""

_START_BYTES = 4096


def skip_reason(path: Path) -> str:
    """Why a file that was found is no picture; empty for an input."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        if has_image_suffix(path) and not path.name.startswith("._"):
            return ""
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError:
        return ""  # its record says why it cannot be read
    if path.name.startswith("._") and start.startswith(_APPLE_DOUBLE):
        return _SYSTEM
    # The content decides, not the name: a picture may be called Thumbs.db.
    if has_image_suffix(path) or has_signature(start):
        return ""
    if path.name.casefold() in _SYSTEM_FILES:
        return _SYSTEM
    if not start:
        return "an empty file"
    return "a text file" if is_text(start) else ""


def has_image_suffix(path: Path) -> bool:
    """Whether a file is named like an image, supported or not."""
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        return True
    kind, _ = _MIME_TYPES.guess_type(path.name, strict=False)
    return kind is not None and kind.startswith("image/")


_SYSTEM = "a file of the operating system"
_IMAGE_SUFFIXES = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
_MIME_TYPES = MimeTypes()  # Python's own table: the system's would differ between machines


def real_path(path: Path) -> Path:
    """The path with links resolved; ``Path.resolve`` raises for a link to itself."""
    return Path(os.path.realpath(path))
