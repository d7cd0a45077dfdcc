"""Whatever a codec decoded -> 8-bit RGB, and what that changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image as Pillow

from counterveil.errors import ImageBrokenError
from counterveil.types import Image

Grey = UInt8[np.ndarray, "height width"]
Values = Shaped[np.ndarray, "height width"]

_FAINT = 16
"""Below this alpha, or this near to white, of 255, nobody sees a colour on white."""
_SHARE = 0.01
"""Of the pixels: fewer are edges."""
_TAG_BITS, _TAG_PHOTOMETRIC = 258, 262


@dataclass(frozen=True, eq=False)
class Colours:
    """A frame's pixels, and what making them changed.

    Attributes:
        pixels: RGB.
        notes: in plain words.
    """

    pixels: Image
    notes: tuple[str, ...] = ()


def to_rgb(image: Pillow.Image, depth: int = 8) -> Colours:
    """Convert a decoded frame; 8-bit RGB stays as it is, whatever its colour profile.

    Args:
        image: a loaded frame.
        depth: bits a channel in the file, as far as its container told.

    Raises:
        ImageBrokenError: colours that this library does not read.
    """
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _from_wide(image)
    notes: tuple[str, ...] = ("16 bits a channel reduced to 8",) if depth == 16 else ()
    if image.has_transparency_data:
        laid = _on_white(image, depth)
        return Colours(laid.pixels, notes + laid.notes)
    if mode == "CMYK":
        notes += ("CMYK converted to RGB without a colour profile",)
    elif mode not in ("1", "L", "P", "RGB", "YCbCr"):
        raise ImageBrokenError(f"colours of mode {mode} are not read; convert it to an RGB PNG")
    return Colours(np.array(image if mode == "RGB" else image.convert("RGB")), notes)


def _on_white(image: Pillow.Image, depth: int) -> Colours:
    key = image.info.get("transparency")
    if depth == 16 and isinstance(key, tuple):  # the pixels were reduced to 8 bits, the key not
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    whole = (image if straight is None else image.convert(straight)).convert("RGBA")
    alpha = whole.getchannel("A")
    lowest = int(np.asarray(alpha).min())
    if lowest == 255:
        return Colours(np.array(whole.convert("RGB")))
    canvas = Pillow.new("RGB", whole.size, (255, 255, 255))
    canvas.paste(whole, mask=alpha)
    notes = ["transparency laid on white"]
    if lowest < _FAINT:
        notes += _unseen(np.asarray(whole))
    return Colours(np.array(canvas), tuple(notes))


def _unseen(rgba: UInt8[np.ndarray, "height width 4"]) -> list[str]:
    """What laying on white leaves out of sight, though another viewer may show it."""
    clear = rgba[..., 3] < _FAINT
    score_masked, over = rgba[clear][:, :3], rgba[~clear][:, :3]
    notes = []
    if (score_masked != score_masked[0]).any():
        notes.append("colours hidden under (almost) full transparency were left out")
    if (over > 255 - _FAINT).all(axis=1).sum() > _SHARE * clear.size:
        notes.append("white on transparent: part of it shows on a dark background only")
    return notes


def _from_wide(image: Pillow.Image) -> Colours:
    """Grey of more than 8 bits, or floating point."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    notes = ["16 bits a channel reduced to 8"] if image.mode.startswith("I;") else []
    if image.mode.startswith("I;"):
        bits = 12 if tags.get(_TAG_BITS) == (12,) else 16
        grey = _linear(values, 0, (1 << bits) - 1)
    else:
        low, high = _bounds(values)
        grey = _linear(values, low, high)
        notes.append(f"values from {low:g} to {high:g} scaled to 0 to 255")
    if tags.get(_TAG_PHOTOMETRIC) == 0:  # Pillow turns these over for 8 bits only
        grey = np.bitwise_not(grey)
    if image.info.get("transparency") is not None:
        grey = np.where(values == image.info["transparency"], np.uint8(255), grey)
        notes.append("transparency laid on white")
    return Colours(np.repeat(grey[..., None], 3, axis=2), tuple(notes))


def _bounds(values: Values) -> tuple[float, float]:
    """Black and white of values whose range the file does not tell."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ImageBrokenError("none of its values is a number; ask for an intact copy")
    low, high = float(finite.min()), float(finite.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 and values.dtype.kind == "f" else (low, high)


def _linear(values: Values, low: float, high: float) -> Grey:
    """Black at ``low``, white at ``high``; what is no number is black."""
    grey = np.empty(values.shape, np.uint8)
    width = max(high - low, np.finfo(np.float64).tiny)
    for row, out in zip(values, grey, strict=True):  # a row at a time: doubles take room
        scaled = np.rint((row.astype(np.float64) - low) * 255 / width)
        out[:] = np.clip(np.nan_to_num(scaled, posinf=255), 0, 255)
    return grey
