"""TIFF: the chain of its pages, and their tags."""

from __future__ import annotations

import struct
from functools import cached_property

import numpy as np

from counterveil.errors import ImageBrokenError
from counterveil.images.codec_errors import damaged
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

BITS, COMPRESSION, SAMPLES = 258, 259, 277
PHOTOMETRIC, STRIPS, STRIP_SIZES, TILES, TILE_SIZES = 262, 273, 279, 324, 325
SUB_PAGES, EXTRA_SAMPLES, JPEG_START, JPEG_SIZE = 330, 338, 513, 514
PHOTOSHOP_LAYERS = 37724
_SIZES = np.zeros(19, np.int64)
_SIZES[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18]] = (
    1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8
)  # fmt: skip
"""Bytes of one value of each type."""
_WHOLE_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}


class TiffFile:
    """Reads directories, which describe pages, and their tags.

    Raises:
        ImageBrokenError: from every method: a directory lies outside the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\x00", b"\x00+")
        self.header = 8 if self.big else 4
        self._count, self._link = ("Q", "Q") if self.big else ("H", "I")
        self._read = 0

    @cached_property
    def entry_type(self) -> np.dtype:
        """One entry of a directory."""
        wide = f"{self.order}u{8 if self.big else 4}"
        fields = [("tag", f"{self.order}u2"), ("type", f"{self.order}u2")]
        return np.dtype([*fields, ("count", wide), ("value", wide)])

    def link(self, position: int, page: int = 0) -> int:
        """The link (offset of a directory) at a position."""
        return self._number(self._link, position, page)

    def next_link(self, directory: int, page: int = 0) -> int:
        """Position of the link behind a directory."""
        entries = self._number(self._count, directory, page)
        return self._first_entry(directory) + entries * self.entry_type.itemsize

    def entries(self, directory: int) -> np.ndarray:
        """The entries of a directory, ``entry_type`` each."""
        first, end = self._first_entry(directory), self.next_link(directory)
        if end > len(self.data):
            raise damaged("truncated: it ends inside the description of a page")
        return np.frombuffer(self.data[first:end], self.entry_type)

    def extent(self, directory: int, tag: int) -> tuple[int, int, int]:
        """Offset of a tag's values, bytes and type; no bytes where there is none in the file."""
        entries = self.entries(directory)
        (found,) = np.nonzero(entries["tag"] == tag)
        if not found.size:
            return 0, 0, 0
        index = int(found[0])
        kind, count = int(entries[index]["type"]), int(entries[index]["count"])
        size = count * int(_SIZES[kind]) if kind < len(_SIZES) else 0
        width = 8 if self.big else 4
        start = self._first_entry(directory) + (index + 1) * self.entry_type.itemsize - width
        if size > width:
            start = int(entries[index]["value"])
        return (start, size, kind) if start + size <= len(self.data) else (0, 0, 0)

    def numbers(self, directory: int, tag: int) -> np.ndarray:
        """The whole numbers of a tag, as int64; empty where it has none."""
        start, size, kind = self.extent(directory, tag)
        if kind not in _WHOLE_NUMBERS:
            return np.zeros(0, np.int64)
        self._read += size
        if self._read > 4 * len(self.data):  # overlapping-strips.tif: guards time
            raise damaged("the values of its tags overlap")
        code = self.order + _WHOLE_NUMBERS[kind]
        return np.frombuffer(self.data[start : start + size], code).astype(np.int64)

    def end(self, directory: int) -> int:
        """Offset behind everything that a directory refers to."""
        entries = self.entries(directory)
        kinds = np.minimum(entries["type"], len(_SIZES) - 1)
        sizes = entries["count"].astype(np.float64) * _SIZES[kinds]
        outside = sizes > (8 if self.big else 4)
        ends = (entries["value"].astype(np.float64) + sizes)[outside]
        found = [float(self.next_link(directory) + struct.calcsize(self._link)), *ends]
        for starts, lengths in (
            (STRIPS, STRIP_SIZES),
            (TILES, TILE_SIZES),
            (JPEG_START, JPEG_SIZE),
        ):
            at, size = self.numbers(directory, starts), self.numbers(directory, lengths)
            both = min(at.size, size.size)
            if both:
                found.append(float((at[:both] + size[:both]).max()))
        return int(min(max(found), len(self.data)))

    def opened_at(self, directory: int) -> bytes:
        """The file with another directory as its first page."""
        link = struct.pack(self.order + self._link, directory)
        return self.data[: self.header] + link + self.data[self.header + len(link) :]

    def _first_entry(self, directory: int) -> int:
        return directory + struct.calcsize(self.order + self._count)

    def _number(self, code: str, position: int, page: int) -> int:
        try:
            value: int = struct.unpack_from(self.order + code, self.data, position)[0]
        except (struct.error, OverflowError) as error:
            # cut-link.tif: Pillow takes the pages before the cut for the whole document
            raise damaged(
                f"truncated: page {page} should be described at byte {position} "
                f"of a file of {len(self.data)} bytes"
            ) from error
        return value


def read_tiff(data: bytes, limits: Limits) -> Layout:
    """Follow the chain of the pages of a TIFF.

    Raises:
        ImageBrokenError: the chain leads out of the file, or back to an earlier page.
        ImageTooLargeError: over a limit.
    """
    file = TiffFile(data)
    position = file.link(file.header)
    seen: dict[int, None] = {}
    described = 0
    while position:
        page = len(seen)
        if position in seen:  # loop.tif: Pillow counts its pages without end. Guards time.
            raise damaged(f"page {page - 1} leads back to an earlier page, in an endless loop")
        seen[position] = None
        limits.check("frames_held", len(seen), f"{len(seen)} pages")  # bomb-frames.tif: guards time
        link = file.next_link(position, page)
        described += link - position
        position = file.link(link, page)
    if not seen:  # no-page.tif: Pillow refuses it, too, but cannot say why
        raise damaged("a TIFF without a page: there is no image in it")
    if described > len(data):  # overlapping.tif: each byte would be read again. Guards time.
        raise damaged("the descriptions of its pages overlap")
    return Layout(len(seen), max(map(file.end, seen)), pages=tuple(seen))


def unread(data: bytes, page: int) -> ImageBrokenError:
    """The error for a page that Pillow refuses to open: most are whole, and of a rare kind."""
    file = TiffFile(data)
    names = (("compression", COMPRESSION), ("photometric", PHOTOMETRIC), ("channels", SAMPLES),
             ("bits", BITS), ("extra channels", EXTRA_SAMPLES))  # fmt: skip
    found = ((name, file.numbers(page, tag).tolist()[:8]) for name, tag in names)
    text = ", ".join(f"{name} {' '.join(map(str, values))}" for name, values in found if values)
    return ImageBrokenError(
        f"a page of this kind ({text or 'without a size'}) is not supported, or its description "
        "is damaged; convert it to PNG"
    )


def has_extra_samples(data: bytes, page: int) -> bool:
    """Whether a page says that it has more channels than its colours need."""
    return bool(TiffFile(data).numbers(page, EXTRA_SAMPLES).size)


def with_extra_samples(data: bytes, page: int, meaning: int) -> tuple[bytes, int]:
    """The file with another meaning of a page's first extra channel, and what it was.

    Args:
        data: the file.
        page: offset of the page's directory.
        meaning: 0 unspecified, 1 premultiplied alpha, 2 straight alpha.

    Returns:
        The same bytes and -1 where the page has no extra channel that Pillow reads as alpha.
    """
    file = TiffFile(data)
    start, size, _ = file.extent(page, EXTRA_SAMPLES)
    said = file.numbers(page, EXTRA_SAMPLES)
    colours = file.numbers(page, PHOTOMETRIC)
    if not said.size or colours.tolist() not in ([1], [2], [3]):
        return data, -1
    width = size // said.size
    value = meaning.to_bytes(width, "little" if file.order == "<" else "big")
    return data[:start] + value + data[start + width :], int(said[0])
