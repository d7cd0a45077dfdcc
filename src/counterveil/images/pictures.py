"""Decode the frames of a file, and the further pictures in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from counterveil.errors import ImageError
from counterveil.images.canvas import open_canvas
from counterveil.images.codec_errors import CODEC_ERROR_TYPES, translate_codec_errors
from counterveil.images.frame import OpenedFile, decode_frame, open_image
from counterveil.images.further import (
    FurtherPicture,
    bytes_behind,
    further_pictures,
    hidden_files,
)
from counterveil.images.limits import Limits
from counterveil.images.signatures import detect_format
from counterveil.images.structure import read_layout
from counterveil.images.view import View

_ANIMATED = frozenset({"PNG", "GIF", "WEBP", "AVIF"})
"""Formats in which a frame can be decoded only after all frames before it."""
_MOST_FOUND, _MOST_FAILED = 64, 8
"""Further pictures that are looked at, and that may fail: a file can pretend to hold millions."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures.

    Attributes:
        pictures: index of the frame, and one view of it.
        not_assessed: sentences on what was not decoded.
    """

    pictures: tuple[tuple[int, View], ...]
    not_assessed: tuple[str, ...]

    @property
    def pixels(self) -> int:
        """Pixels of all views."""
        return sum(view.pixels.size // 3 for _, view in self.pictures)


@dataclass(frozen=True, eq=False)
class DecodedFile(Pictures):
    """The frames of a file.

    Attributes:
        file: the opened file.
        frames: indices of the frames that were decoded.
        total: number of frames in the file.
        notes: on the file as a whole.
    """

    file: OpenedFile
    frames: tuple[int, ...]
    total: int
    notes: tuple[str, ...]


def decode_file(data: bytes, format: str, limits: Limits) -> DecodedFile:
    """Decode up to ``limits.frames`` frames in every view.

    Args:
        data: the file.
        format: as ``detect_format`` names it.
        limits: on the cost.

    Raises:
        ImageError: see ``images.load``.
        Exception: of Pillow; see ``codec_errors``.
    """
    layout = read_layout(data, format, limits)
    mended = layout.data or data
    if layout.end is not None:  # the mended file lacks blocks, all of them before the end
        layout = replace(layout, end=layout.end - len(data) + len(mended))
    image = open_image(mended, format, layout)
    limits.check_size(*image.size)
    canvas = open_canvas(mended, format)
    file = OpenedFile(image, mended, format, layout, limits, canvas=canvas)
    total = file.frames
    limits.check("frames_held", total, f"{total} frames")
    if format in _ANIMATED:
        pixels = total * image.width * image.height
        limits.check("total_pixels", pixels, f"{total} frames of {pixels} pixels in all")
    frames = tuple(i for i in _spread(total, limits.frames) if not _misses(file, i))
    pictures: list[tuple[int, View]] = []
    pixels = 0
    for index in frames:
        where = f"frame {index} of 0 to {total - 1}"
        with translate_codec_errors(where) if total > 1 else nullcontext():
            for view in decode_frame(file, index, pixels):
                pixels += view.pixels.size // 3
                pictures.append((index, view))
    missing = total - len(frames)
    not_assessed = (*layout.not_assessed, *file.problems)
    if missing:
        not_assessed += (f"{missing} of {total} frames were not assessed",)
    notes = file.notes() + _frame_notes(frames, total)
    return DecodedFile(tuple(pictures), not_assessed, file, frames, total, notes)


def _misses(file: OpenedFile, index: int) -> bool:
    """Whether the index of a JPEG of several pictures points to bytes that are no picture.

    Viewers show its first picture then. An index that points behind the end is a cut file.
    """
    if not index or file.format != "JPEG":
        return False
    probe = open_image(file.data, file.format, file.layout)
    with suppress(*CODEC_ERROR_TYPES):
        probe.seek(index)
    offset = getattr(probe, "offset", 0)
    missed = offset < len(file.data) and file.data[offset : offset + 2] != b"\xff\xd8"
    if missed:
        file.problems.append(f"its index is damaged: no picture {index} is where it points")
    return bool(missed)


def decode_further(decoded: DecodedFile, limits: Limits) -> Pictures:
    """Decode thumbnails and other pictures in a file; what cannot be decoded is named."""
    pictures: list[tuple[int, View]] = []
    not_assessed = list(hidden_files(decoded.file, decoded.frames))
    known: set[bytes] = set()
    pixels, frames, failed = decoded.pixels, 0, 0
    for attempt, picture in enumerate(_found_pictures(decoded, not_assessed)):
        try:
            with translate_codec_errors(f"the {picture.name} was not assessed"):
                format, digest = _identify(picture, limits)
                if digest in known and attempt < _MOST_FOUND:
                    continue
                known.add(digest)
                if attempt >= _MOST_FOUND or frames >= limits.frames or failed >= _MOST_FAILED:
                    not_assessed.append("more pictures in the file were not assessed")
                    break
                found = _decode_within(picture.data, format, limits, limits.total_pixels - pixels)
        except ImageError as error:
            not_assessed.append(str(error))
            failed += 1
            if failed > 2 * _MOST_FAILED:
                not_assessed.append("more pictures in the file were not assessed")
                break
            continue
        pixels += found.pixels
        frames += len(found.frames)
        pictures += [
            (picture.frame, replace(view, name=_join(picture.name, frame, found, view)))
            for frame, view in found.pictures
            if not any(view.same_as(shown) for _, shown in decoded.pictures)
        ]
        not_assessed += [f"the {picture.name}: {text}" for text in found.not_assessed]
    return Pictures(tuple(pictures), tuple(dict.fromkeys(not_assessed)))


def _found_pictures(decoded: DecodedFile, problems: list[str]) -> Iterator[FurtherPicture]:
    try:
        yield from further_pictures(decoded.file, decoded.frames)
    except (*CODEC_ERROR_TYPES,) as error:  # the frames are whole, so the file is examined
        problems.append(f"its metadata are damaged ({error}); pictures in them were not assessed")


def left_out(decoded: DecodedFile) -> tuple[str, ...]:
    """A note on bytes that belong to no frame."""
    behind = bytes_behind(decoded.file)
    return (f"{behind} bytes behind the image's end were left out",) if behind else ()


def _identify(picture: FurtherPicture, limits: Limits) -> tuple[str, bytes]:
    """Format and hash; the same picture may be found in several ways."""
    format = detect_format(picture.data)
    with translate_codec_errors(format):
        end = read_layout(picture.data, format, limits).end
    return format, hashlib.sha256(memoryview(picture.data)[:end]).digest()


def _decode_within(data: bytes, format: str, limits: Limits, pixels: int) -> DecodedFile:
    """Decode a further picture with what is left of the limit of pixels."""
    limits.check("total_pixels", limits.total_pixels - pixels + 1, "with the frames before it")
    with translate_codec_errors(format):
        return decode_file(data, format, replace(limits, total_pixels=pixels))


def _join(name: str, frame: int, found: DecodedFile, view: View) -> str:
    number = f"frame {frame}" if found.total > 1 else ""
    return ", ".join(part for part in (name, number, view.name) if part)


def _spread(total: int, limit: int) -> tuple[int, ...]:
    """Indices of up to ``limit`` evenly spaced frames, first and last included."""
    count = min(total, limit)
    return tuple(round(i * (total - 1) / max(count - 1, 1)) for i in range(count))


def _frame_notes(indices: tuple[int, ...], total: int) -> tuple[str, ...]:
    if total == 1:
        return ()
    which = "all" if len(indices) == total else ", ".join(map(str, indices))
    return (f"{len(indices)} of {total} frames assessed ({which})",)
