"""What :meth:`Pipeline.examine` accepts, turned into a path or a file's bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from counterveil.errors import InputTypeError

ACCEPTED = "a path, bytes, a binary file object, a NumPy array, a PIL image, or a list of these"


@runtime_checkable
class BinaryFile(Protocol):
    """An open file."""

    def read(self) -> bytes:
        """All bytes from the current position on."""
        ...


ImageSource = Path | str | bytes | bytearray | memoryview | BinaryFile | np.ndarray | Pillow.Image
"""What the pipeline examines."""


@dataclass(frozen=True)
class FileSource:
    """A file to examine.

    Attributes:
        data: its path or its bytes.
        name: for the record.
        notes: sentences for the record.
    """

    data: Path | bytes
    name: str
    notes: tuple[str, ...] = ()


def open_source(source: Any, name: str | None = None) -> FileSource:
    """A path or bytes for anything that is accepted.

    Arrays and PIL images are encoded as PNG first, so that they take the same way as files.

    Args:
        source: as :data:`ImageSource`. Arrays are uint8 ``(H, W)``, ``(H, W, 3)`` or
            ``(H, W, 4)``: grey, RGB or RGBA.
        name: for the record; the file's own name if ``None``.

    Raises:
        InputTypeError: anything else.
    """
    if isinstance(source, str | PurePath):
        path = Path(source)
        return FileSource(path, name or path.name)
    if isinstance(source, bytes | bytearray | memoryview):
        return FileSource(bytes(source), name or "image")
    if isinstance(source, np.ndarray):
        return FileSource(_png(_from_array(source)), name or "image", (_NOTE,))
    if isinstance(source, Pillow.Image):
        # PNG keeps no EXIF orientation here, so it is applied first.
        return FileSource(_png(ImageOps.exif_transpose(source)), name or "image", (_NOTE,))
    if isinstance(source, BinaryFile):
        data = source.read()
        if isinstance(data, bytes):
            return FileSource(data, name or _file_name(source))
        raise InputTypeError(
            f"the file object returned {type(data).__name__}; open the file in binary mode"
        )
    raise InputTypeError(f"cannot examine {type(source).__name__}; give {ACCEPTED}")


_NOTE = "the image was given as pixels; the hash is that of its PNG encoding"


def _file_name(file: Any) -> str:
    """The name of an open file; other file objects have none, or a number."""
    name = getattr(file, "name", None)
    return PurePath(name).name if isinstance(name, str) else "image"


def _from_array(array: np.ndarray) -> Pillow.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise InputTypeError(
            "an array must be uint8 with shape (H, W), (H, W, 3) or (H, W, 4), "
            f"got {array.dtype} {array.shape}"
        )
    return Pillow.fromarray(array[..., 0] if array.ndim == 3 and channels == 1 else array)


def _png(image: Pillow.Image) -> bytes:
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # lossless; it lives only until it is decoded
    return buffer.getvalue()
