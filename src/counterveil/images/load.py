"""Untrusted bytes -> photos."""

from __future__ import annotations

import hashlib
import io
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from PIL import Image as Pillow

from counterveil.images.codec_errors import quiet, translated
from counterveil.images.frame import Opened, frame
from counterveil.images.limits import Limits
from counterveil.images.signatures import kind, misnamed
from counterveil.images.source import read
from counterveil.images.structure import survey
from counterveil.types import Frame

_DEFAULT = Limits()
_ANIMATED = frozenset({"PNG", "GIF", "WEBP", "AVIF"})
"""Formats whose last frame cannot be had without decoding those before it."""


def load(
    source: bytes | Path, *, name: str | None = None, limits: Limits = _DEFAULT
) -> tuple[Frame, ...]:
    """Decode an untrusted file.

    PNG, JPEG, WebP, GIF, TIFF, BMP and AVIF are read, told apart by their bytes. Orientation is
    applied, transparency laid on white, wider values scaled to 8 bits; 8-bit RGB is kept exactly
    (a colour profile is dropped, not applied). Whatever was changed is in ``Frame.notes``.

    Args:
        source: a file's bytes, or the path of a regular file.
        name: what errors and photos call it; the file's name where not given.
        limits: what the file may cost.

    Returns:
        The frames to assess: one of a still image; of an animation or of several pages,
        ``limits.frames`` evenly spaced ones, the first and the last among them.

    Raises:
        ImageTooLargeError: over a limit.
        ImageBrokenError: no image, truncated or otherwise damaged, in any assessed frame.

    Example:
        >>> from pathlib import Path
        >>> photo, *_ = load(Path("photo.jpg"))  # doctest: +SKIP
        >>> photo.pixels.shape  # doctest: +SKIP
        (480, 640, 3)
    """
    if name is None:
        name = source.name if isinstance(source, Path) else "image"
    data = read(source, name, limits)
    with translated(name), quiet() as said:
        photos = _decode(data, name, limits)
    remarks = tuple(f"the decoder remarked: {text}" for text in said)
    return tuple(replace(photo, notes=photo.notes + remarks) for photo in photos)


def _decode(data: bytes, name: str, limits: Limits) -> tuple[Frame, ...]:
    format = kind(data)
    layout = survey(data, format, limits)
    with Pillow.open(io.BytesIO(data), formats=(format,)) as image:
        limits.check_size(*image.size)
        opened = Opened(image, data, format, layout, limits)
        total = opened.total
        limits.check("frames_held", total, f"{total} frames")
        if format in _ANIMATED:
            pixels = total * image.width * image.height
            limits.check("total_pixels", pixels, f"{total} frames of {pixels} pixels in all")
        chosen = _spread(total, limits.frames)
        notes = misnamed(name, format) + opened.notes() + _told(chosen, total)
        digest = hashlib.sha256(data).hexdigest()
        photos: list[Frame] = []
        spent = 0
        for index in chosen:
            with translated(f"frame {index} of 0 to {total - 1}") if total > 1 else nullcontext():
                colours = frame(opened, index, spent)
            spent += colours.pixels.size // 3
            photos.append(
                Frame(colours.pixels, name, digest, format, index, total, notes + colours.notes)
            )
    return tuple(photos)


def _spread(total: int, most: int) -> tuple[int, ...]:
    """Indices of up to ``most`` evenly spaced frames, first and last included."""
    count = min(total, most)
    return tuple(round(i * (total - 1) / max(count - 1, 1)) for i in range(count))


def _told(chosen: tuple[int, ...], total: int) -> tuple[str, ...]:
    if total == 1:
        return ()
    which = "all" if len(chosen) == total else ", ".join(map(str, chosen))
    return (f"{len(chosen)} of {total} frames assessed ({which})",)
