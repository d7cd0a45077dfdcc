"""Decode one frame of an opened file, in every way in which viewers show it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as Pillow
from PIL.Image import Transpose

from counterveil.errors import ImageError
from counterveil.images.bmp import open_bmp
from counterveil.images.canvas import Canvas
from counterveil.images.codec_errors import CODEC_ERROR_TYPES, damaged
from counterveil.images.limits import Limits
from counterveil.images.structure import Layout, jpeg, png, tiff
from counterveil.images.structure.layout import AlphaKind
from counterveil.images.view import View
from counterveil.images.views import Container, composed_views, views
from counterveil.types import Image

_TAG_PLANAR = 284
_ERRORS: tuple[type[Exception], ...] = (ImageError, *CODEC_ERROR_TYPES)
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
_BACK = MappingProxyType({**_UPRIGHT, 6: Transpose.ROTATE_90, 8: Transpose.ROTATE_270})
"""EXIF orientation -> the inverse operation."""
_ALPHA_KINDS: MappingProxyType[int, AlphaKind] = MappingProxyType(
    {0: "unspecified", 1: "premultiplied", 2: "straight"}
)
"""First value of a TIFF's ExtraSamples."""


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A file whose header was read and is within the limits.

    Attributes:
        image: as Pillow opened it.
        data: the file.
        format: as ``signatures.detect_format`` names it.
        layout: result of the structure check.
        limits: on the cost of the file.
        spans: where the decoded pictures of a JPEG lie.
        problems: sentences on what was not assessed.
        canvas: composes the frames as browsers do, where Pillow does not.
    """

    image: Pillow.Image
    data: bytes
    format: str
    layout: Layout
    limits: Limits
    spans: list[jpeg.Segments] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    canvas: Canvas | None = None

    @property
    def frames(self) -> int:
        """Number of frames in the file."""
        if self.layout.frames is not None:
            return self.layout.frames
        # A JPEG that ends with its first picture holds one, whatever its index declares.
        alone = self.format == "JPEG" and self.layout.end == len(self.data)
        return 1 if alone else self._declared_frames

    @property
    def _declared_frames(self) -> int:
        frames: int = getattr(self.image, "n_frames", 1)
        return frames

    def notes(self) -> tuple[str, ...]:
        """Notes on what is left out of every frame."""
        if self.frames >= self._declared_frames:
            return self.layout.notes
        note = f"its index declares {self._declared_frames} pictures, the file holds {self.frames}"
        return (*self.layout.notes, note)


def open_image(data: bytes, format: str, layout: Layout) -> Pillow.Image:
    """Open a file whose layout was checked.

    Raises:
        ImageBrokenError: a TIFF or a BMP that is damaged or of a kind that is not supported.
        Exception: of Pillow; see ``codec_errors``.
    """
    if format == "BMP":
        return open_bmp(data)
    try:
        return Pillow.open(io.BytesIO(data), formats=(format,))
    except UnidentifiedImageError as error:
        if format == "TIFF":
            raise tiff.unread(data, layout.pages[0]) from error
        raise


@contextmanager
def _tiff_page_errors(file: OpenedFile, index: int) -> Iterator[None]:
    try:
        yield
    except (SyntaxError, LookupError, TypeError) as error:
        if file.format == "TIFF":
            raise tiff.unread(file.data, file.layout.pages[index]) from error
        raise


def decode_frame(file: OpenedFile, index: int, pixels_before: int) -> Iterator[View]:
    """Decode one frame; yields each way in which viewers show it once, the plain one first.

    Args:
        file: the opened file.
        index: of the frame, from 0.
        pixels_before: pixels of the frames and views decoded before this one.

    Raises:
        ImageTooLargeError: the frame, or its views, are over a limit.
        ImageBrokenError: part of the frame is missing, or its colour mode is not supported.
        Exception: of Pillow; see ``codec_errors``.
    """
    file, alpha = _with_straight_alpha(_opened_anew(file, index), index)
    with _tiff_page_errors(file, index):
        file.image.seek(index)  # a second time for a TIFF with an extra channel
    file.limits.check_size(*file.image.size)  # bomb-page.tif: each page has its own size
    total = pixels_before + file.image.width * file.image.height
    file.limits.check("total_pixels", total, f"{total} pixels so far")
    total = pixels_before
    known: list[View] = []
    both = chain(
        ((view, view.same_as) for view in _oriented_views(file, alpha)),
        # Composed by us, so its rounding may differ from Pillow's.
        ((view, view.close_to) for view in _canvas_views(file, index)),
    )
    for view, is_known in both:
        if any(map(is_known, known)):
            continue
        total += view.pixels.size // 3
        file.limits.check("total_pixels", total, f"{total} pixels so far, each view counted")
        known.append(view)
        yield view


def _canvas_views(file: OpenedFile, index: int) -> Iterator[View]:
    """The frame as browsers compose it, where that differs from Pillow's way."""
    if file.canvas is not None:
        canvas = file.canvas.frame(index, file.image.size)
        yield from composed_views(file.image, canvas, file.canvas.background)


def _opened_anew(file: OpenedFile, index: int) -> OpenedFile:
    """The file as if no frame of it had been loaded, where that matters.

    A frame of an APNG may restore the one before it. Pillow restores a wrong one after a frame
    was loaded; it does not where it seeks all the way.
    """
    if index == 0 or file.format != "PNG" or not png.restores_frames(file.data):
        return file
    return replace(file, image=open_image(file.data, file.format, file.layout))


def _oriented_views(file: OpenedFile, alpha: AlphaKind) -> Iterator[View]:
    image, layout = file.image, file.layout
    _check_tiff_coverage(image)
    orientation = _orientation(image)
    both = orientation in _UPRIGHT and _orientation_is_doubtful(file)
    key_is_wide = layout.key and layout.bit_depth == 16 and image.mode == "RGB"
    low = _low_bytes(file.data) if key_is_wide else None
    _load(file)
    for view in views(image, Container(file.format, layout.bit_depth, layout.key, low, alpha)):
        if orientation not in _UPRIGHT:
            yield view
            continue
        stored = upright = view.pixels
        if _orientation(image) == orientation:
            upright = _turned(view.pixels, _UPRIGHT[orientation])
        elif both:  # Pillow turns a TIFF while loading
            stored = _turned(view.pixels, _BACK[orientation])
        yield view.then(upright, "", "turned upright, as its orientation tag asks")
        if both:
            yield view.then(stored, "orientation ignored", "its orientation tag was ignored")


def _turned(
    pixels: Image, operation: Transpose
) -> UInt8[np.ndarray, "turned_height turned_width 3"]:
    return np.array(Pillow.fromarray(pixels).transpose(operation))


def _orientation_is_doubtful(file: OpenedFile) -> bool:
    """Whether common viewers differ in following the orientation tag."""
    if file.format != "JPEG":
        return True
    exif = Pillow.Exif()  # Pillow also follows the XMP of a JPEG, which browsers do not read
    try:
        exif.load(file.image.info.get("exif", b""))
        return ExifTags.Base.Orientation not in exif
    except CODEC_ERROR_TYPES:
        return True


def _with_straight_alpha(file: OpenedFile, index: int) -> tuple[OpenedFile, AlphaKind]:
    """A TIFF whose page says that its alpha is straight, and what it says really.

    Pillow drops an unspecified extra channel, and colours under a premultiplied alpha of 0.
    """
    if file.format != "TIFF":
        return file, file.layout.alpha
    page = file.layout.pages[index]
    data, said = tiff.with_extra_samples(file.data, page, 2)
    try:
        if said not in (-1, 2):
            image = open_image(data, file.format, file.layout)
            image.seek(index)
            image.load()  # Pillow refuses some channels as alpha that it drops otherwise
            image = open_image(data, file.format, file.layout)
            return replace(file, image=image, data=data), _ALPHA_KINDS.get(said, "straight")
    except _ERRORS:
        file.problems.append(f"an extra channel of frame {index} was not assessed")
        return file, "straight"
    if said == -1 and tiff.has_extra_samples(file.data, page):
        file.problems.append(f"an extra channel of frame {index} was not assessed")
    return file, "straight"


def _low_bytes(png: bytes) -> Image:
    """Lower bytes of 16-bit RGB, which Pillow reads if told that their order is the other one."""
    with Pillow.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.tile = [image.tile[0]._replace(args="RGB;16L")]
        return np.array(image)


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
    file.spans.append(segments)


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
