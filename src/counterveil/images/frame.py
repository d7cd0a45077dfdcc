"""One frame of an opened file: found, checked, decoded, turned upright."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from PIL import ExifTags
from PIL import Image as Pillow
from PIL.Image import Transpose

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import FOREIGN_TYPES
from counterveil.images.colour import Colours, to_rgb
from counterveil.images.limits import Limits
from counterveil.images.structure import Layout, jpeg

_PLANAR = 284
_TURNS = MappingProxyType(
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
"""What undoes each EXIF orientation."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A file whose header has been read and found within limits.

    Attributes:
        image: as Pillow opened it.
        data: the file.
        format: as ``kinds.kind`` names it.
        layout: what the walk over its blocks found.
        limits: what it may cost.
    """

    image: Pillow.Image
    data: bytes
    format: str
    layout: Layout
    limits: Limits

    @property
    def total(self) -> int:
        """Frames that the file holds."""
        if self.layout.frames is not None:
            return self.layout.frames
        return 1 if self._alone else self._promised

    @property
    def _promised(self) -> int:
        frames: int = getattr(self.image, "n_frames", 1)
        return frames

    @property
    def _alone(self) -> bool:
        """A JPEG that ends with its first picture, whatever its index says of others."""
        return self.layout.end == len(self.data)

    def notes(self) -> tuple[str, ...]:
        """What is left out of every frame."""
        notes = []
        end = self.layout.end
        if self.total < self._promised:
            notes.append(f"its index promises {self._promised} pictures, and holds {self.total}")
        elif (
            end is not None and end < len(self.data) and (self.format != "JPEG" or self.total == 1)
        ):
            notes.append(f"{len(self.data) - end} bytes behind the image's end were left out")
        if self.image.info.get("icc_profile"):
            notes.append("its colour profile was dropped, not applied")
        return tuple(notes)


def frame(opened: Opened, index: int, spent: int) -> Colours:
    """Decode one frame.

    Args:
        opened: the file.
        index: of the frame, from 0.
        spent: pixels of the frames decoded before.

    Raises:
        ImageTooLargeError: the frame alone is over a limit.
        ImageBrokenError: part of it is missing, or its colours are not read.
        Exception: whatever Pillow throws; see ``seam``.
    """
    image = opened.image
    image.seek(index)
    opened.limits.check_size(*image.size)
    total = spent + image.width * image.height
    opened.limits.check("total_pixels", total, f"{total} pixels so far")
    _check_covered(image)
    turned = _orientation(image)
    _load(opened)
    left = _orientation(image)  # Pillow turns TIFF itself
    upright = image.transpose(_TURNS[left]) if left in _TURNS else image
    colours = to_rgb(upright, opened.layout.depth)
    notes = ("turned upright, as its orientation tag asks",) if turned in _TURNS else ()
    return Colours(colours.pixels, notes + colours.notes)


def _load(opened: Opened) -> None:
    image = opened.image
    if opened.format != "JPEG":
        image.load()
        return
    # Each picture of a file has scans of its own: they are counted before the codec runs them.
    offset = getattr(image, "offset", 0)
    found = jpeg.walk(opened.data, offset, opened.limits)
    image.load()
    jpeg.check_complete(opened.data, offset, image, found)


def _orientation(image: Pillow.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except FOREIGN_TYPES:  # the pixels are no worse for it
        return 1
    return value if isinstance(value, int) else 1


def _check_covered(image: Pillow.Image) -> None:
    """Raise where the pieces of a TIFF do not cover it: Pillow leaves the rest black."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    extents = [tile[1] for tile in getattr(image, "tile", [])]
    covered = sum((right - left) * (low - top) for left, top, right, low in extents)
    planes = len(image.getbands()) if tags.get(_PLANAR) == 2 and len(extents) > 1 else 1
    needed = image.width * image.height * planes
    if covered < needed:
        raise ImageBrokenError(
            f"its pieces cover {covered} of {needed} pixels; ask for an intact copy"
        )
