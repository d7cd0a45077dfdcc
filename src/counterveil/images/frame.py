"""One frame of an opened file: checked, decoded, turned upright."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from PIL import ExifTags
from PIL import Image as Pillow
from PIL.Image import Transpose

from counterveil.images.codec_errors import CODEC_ERROR_TYPES, damaged
from counterveil.images.colour import RgbPixels, to_rgb
from counterveil.images.limits import Limits
from counterveil.images.structure import Layout, jpeg

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
