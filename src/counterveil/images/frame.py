"""Decode one frame of an opened file to 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import ExifTags
from PIL import Image as Pillow
from PIL.Image import Transpose

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import CODEC_ERROR_TYPES, damaged
from counterveil.images.limits import Limits
from counterveil.images.structure import Layout, jpeg
from counterveil.types import Image

_TAG_PLANAR = 284
_UPRIGHT = MappingProxyType(
    {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
)
"""EXIF orientation -> operation that turns the image upright."""


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A file whose header was read and is within the limits.

    Attributes:
        image: as Pillow opened it.
        data: the file.
        format: as ``signatures.detect_format`` names it.
        layout: result of the structure check.
        limits: on the cost of the file.
    """

    image: Pillow.Image
    data: bytes
    format: str
    layout: Layout
    limits: Limits

    @property
    def frames(self) -> int:
        """Number of frames in the file."""
        if self.layout.frames is not None:
            return self.layout.frames
        # A JPEG that ends with its first picture holds one, whatever its index declares.
        return 1 if self.layout.end == len(self.data) else self._declared_frames

    @property
    def _declared_frames(self) -> int:
        frames: int = getattr(self.image, "n_frames", 1)
        return frames

    def notes(self) -> tuple[str, ...]:
        """Notes on what is left out of every frame."""
        notes = []
        end = self.layout.end
        trailing = 0 if end is None else len(self.data) - end
        if self.frames < self._declared_frames:
            notes.append(
                f"its index declares {self._declared_frames} pictures, the file holds {self.frames}"
            )
        elif trailing > 0 and (self.format != "JPEG" or self.frames == 1):
            notes.append(f"{trailing} bytes behind the image's end were left out")
        if self.image.info.get("icc_profile"):
            notes.append("its colour profile was dropped, not applied")
        return tuple(notes)


def decode_frame(file: OpenedFile, index: int, pixels_before: int) -> RgbPixels:
    """Decode one frame.

    Args:
        file: the opened file.
        index: of the frame, from 0.
        pixels_before: pixels of the frames decoded before this one.

    Raises:
        ImageTooLargeError: the frame is over a limit.
        ImageBrokenError: part of the frame is missing, or its colour mode is not supported.
        Exception: of Pillow; see ``codec_errors``.
    """
    image = file.image
    image.seek(index)
    file.limits.check_size(*image.size)  # bomb-page.tif: each page has its own size
    total = pixels_before + image.width * image.height
    file.limits.check("total_pixels", total, f"{total} pixels so far")
    _check_tiff_coverage(image)
    orientation = _orientation(image)
    _load(file)
    remaining = _orientation(image)  # 1 for a TIFF: Pillow turns it while loading
    upright = image.transpose(_UPRIGHT[remaining]) if remaining in _UPRIGHT else image
    rgb = to_rgb(upright, file.layout.bit_depth)
    notes = ("turned upright, as its orientation tag asks",) if orientation in _UPRIGHT else ()
    return RgbPixels(rgb.pixels, notes + rgb.notes)


def _load(file: OpenedFile) -> None:
    image = file.image
    if file.format != "JPEG":
        image.load()
        return
    # Each picture of a JPEG file has scans of its own: count them before the codec runs them.
    offset = getattr(image, "offset", 0)
    segments = jpeg.read_segments(file.data, offset, file.limits)
    image.load()
    jpeg.check_complete(file.data, offset, image, segments)


def _orientation(image: Pillow.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except CODEC_ERROR_TYPES:  # damaged EXIF data do not harm the pixels
        return 1
    return value if isinstance(value, int) else 1


def _check_tiff_coverage(image: Pillow.Image) -> None:
    """missing-strips.tif: Pillow leaves pixels black that no strip or tile covers."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    extents = [tile[1] for tile in getattr(image, "tile", [])]
    covered = sum((right - left) * (low - top) for left, top, right, low in extents)
    planes = len(image.getbands()) if tags.get(_TAG_PLANAR) == 2 and len(extents) > 1 else 1
    needed = image.width * image.height * planes
    if covered < needed:
        raise damaged(f"its strips or tiles cover {covered} of {needed} pixels")


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
