"""Converts decoded frames of any mode to 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image as Pillow

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import damaged
from counterveil.types import Image

_FAINT = 16
"""An alpha below this, or a colour nearer than this to white, is invisible on white (of 255)."""
_MIN_WHITE_FRACTION = 0.01
"""Fewer white pixels than this are edges."""
_TAG_BITS, _TAG_PHOTOMETRIC = 258, 262
_NOTE_16_BITS = "16 bits a channel reduced to 8"
_NOTE_ON_WHITE = "transparency laid on white"


@dataclass(frozen=True, eq=False)
class RgbPixels:
    """Pixels of one frame, and notes for people on what the conversion changed."""

    pixels: Image
    notes: tuple[str, ...] = ()


def to_rgb(image: Pillow.Image, bit_depth: int = 8) -> RgbPixels:
    """Convert a decoded frame; 8-bit RGB stays as it is, whatever its colour profile.

    Args:
        image: a loaded frame.
        bit_depth: bits per channel in the file, as its container says.

    Raises:
        ImageBrokenError: the colour mode is not supported.
    """
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _from_wide_grey(image)
    notes: tuple[str, ...] = (_NOTE_16_BITS,) if bit_depth == 16 else ()
    if image.has_transparency_data:
        converted = _composite_on_white(image, bit_depth)
        return RgbPixels(converted.pixels, notes + converted.notes)
    if mode == "CMYK":
        notes += ("CMYK converted to RGB without a colour profile",)
    elif mode not in ("1", "L", "P", "RGB", "YCbCr"):
        raise ImageBrokenError(f"colour mode {mode} is not supported; convert it to an RGB PNG")
    return RgbPixels(np.array(image if mode == "RGB" else image.convert("RGB")), notes)


def _composite_on_white(image: Pillow.Image, bit_depth: int) -> RgbPixels:
    key = image.info.get("transparency")
    if bit_depth == 16 and isinstance(key, tuple):  # Pillow reduced the pixels to 8 bits only
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    rgba = (image if straight is None else image.convert(straight)).convert("RGBA")
    alpha = rgba.getchannel("A")
    lowest = int(np.asarray(alpha).min())
    if lowest == 255:
        return RgbPixels(np.array(rgba.convert("RGB")))
    canvas = Pillow.new("RGB", rgba.size, (255, 255, 255))
    canvas.paste(rgba, mask=alpha)
    notes = [_NOTE_ON_WHITE]
    if lowest < _FAINT:
        notes += _invisible_content_notes(np.asarray(rgba))
    return RgbPixels(np.array(canvas), tuple(notes))


def _invisible_content_notes(rgba: UInt8[np.ndarray, "height width 4"]) -> list[str]:
    """Notes on content that is invisible on white, though another viewer may show it."""
    transparent = rgba[..., 3] < _FAINT
    hidden, visible = rgba[transparent][:, :3], rgba[~transparent][:, :3]
    notes = []
    if (hidden != hidden[0]).any():
        notes.append("colours hidden under (almost) full transparency were left out")
    white = (visible > 255 - _FAINT).all(axis=1)
    if white.sum() > _MIN_WHITE_FRACTION * transparent.size:
        notes.append("white on transparent: part of it shows on a dark background only")
    return notes


def _from_wide_grey(image: Pillow.Image) -> RgbPixels:
    """Convert grey of more than 8 bits, or floating point."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    notes = [_NOTE_16_BITS] if image.mode.startswith("I;") else []
    if image.mode.startswith("I;"):
        bits = 12 if tags.get(_TAG_BITS) == (12,) else 16
        grey = _scale_to_uint8(values, 0, (1 << bits) - 1)
    else:
        low, high = _value_range(values)
        grey = _scale_to_uint8(values, low, high)
        notes.append(f"values from {low:g} to {high:g} scaled to 0 to 255")
    if tags.get(_TAG_PHOTOMETRIC) == 0:  # 0 is white; Pillow inverts it for 8 bits only
        grey = np.bitwise_not(grey)
    if image.info.get("transparency") is not None:
        grey = np.where(values == image.info["transparency"], np.uint8(255), grey)
        notes.append(_NOTE_ON_WHITE)
    return RgbPixels(np.repeat(grey[..., None], 3, axis=2), tuple(notes))


def _value_range(values: Shaped[np.ndarray, "height width"]) -> tuple[float, float]:
    """Values of black and white; the file does not say them."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise damaged("no pixel value is a number")
    low, high = float(finite.min()), float(finite.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 and values.dtype.kind == "f" else (low, high)


def _scale_to_uint8(
    values: Shaped[np.ndarray, "height width"], low: float, high: float
) -> UInt8[np.ndarray, "height width"]:
    """Scale linearly from black at ``low`` to white at ``high``; NaN becomes black."""
    grey = np.empty(values.shape, np.uint8)
    width = max(high - low, np.finfo(np.float64).tiny)
    for row, out in zip(values, grey, strict=True):  # a row at a time: doubles need memory
        scaled = np.rint((row.astype(np.float64) - low) * 255 / width)
        out[:] = np.clip(np.nan_to_num(scaled, posinf=255), 0, 255)
    return grey
