"""TIFF: the chain of its pages, and their tags."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from counterveil.images.codec_errors import damaged
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

_PHOTOMETRIC, _EXTRA_SAMPLES = 262, 338
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 18: 8}
"""Bytes of one value of each type; other types are of no interest here."""
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Entry:
    """One tag of a page.

    Attributes:
        type: of its values, as TIFF numbers types.
        count: number of values.
        offset: of the first value in the file.
    """

    type: int
    count: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of all values; 0 for a type of no interest."""
        return self.count * _SIZES.get(self.type, 0)


class TiffFile:
    """Reads directories (pages) and their tags."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\x00", b"\x00+")
        self._count, self._entry, self._link = ("Q", 20, "Q") if self.big else ("H", 12, "I")

    @property
    def header(self) -> int:
        """Offset of the first link."""
        return 8 if self.big else 4

    def link(self, position: int, page: int = 0) -> int:
        """The link (offset of a directory) at a position."""
        return self._number(self._link, position, page)

    def next_link(self, directory: int, page: int = 0) -> int:
        """Position of the link behind a directory."""
        entries = self._number(self._count, directory, page)
        return directory + struct.calcsize(self.order + self._count) + entries * self._entry

    def tags(self, directory: int) -> Mapping[int, Entry]:
        """The tags of a directory that lie in the file."""
        position = directory + struct.calcsize(self.order + self._count)
        end = min(self.next_link(directory), len(self.data) - self._entry + 1)
        found: dict[int, Entry] = {}
        for at in range(position, end, self._entry):
            tag, type, count = struct.unpack_from(
                self.order + ("HHQ" if self.big else "HHI"), self.data, at
            )
            inline = at + self._entry - (8 if self.big else 4)
            entry = Entry(type, count, inline)
            if entry.size > (8 if self.big else 4):
                entry = Entry(type, count, self._number(self._link, inline, 0))
            if entry.offset + entry.size <= len(self.data):
                found.setdefault(tag, entry)
        return found

    def values(self, entry: Entry | None, most: int) -> tuple[int, ...]:
        """Up to ``most`` whole numbers of a tag; none where it has other values."""
        if entry is None or entry.type not in _CODES:
            return ()
        code = f"{self.order}{min(entry.count, most)}{_CODES[entry.type]}"
        return struct.unpack_from(code, self.data, entry.offset)

    def opened_at(self, directory: int) -> bytes:
        """The file with another directory as its first page."""
        at = self.header
        link = struct.pack(self.order + self._link, directory)
        return self.data[:at] + link + self.data[at + len(link) :]

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
    while position:
        page = len(seen)
        if position in seen:  # loop.tif: Pillow counts its pages without end. Guards time.
            raise damaged(f"page {page - 1} leads back to an earlier page, in an endless loop")
        seen[position] = None
        limits.check("frames_held", len(seen), f"{len(seen)} pages")  # bomb-frames.tif: guards time
        position = file.link(file.next_link(position, page), page)
    if not seen:  # no-page.tif: Pillow refuses it, too, but cannot say why
        raise damaged("a TIFF without a page: there is no image in it")
    return Layout(len(seen), pages=tuple(seen))


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
    tags = file.tags(page)
    entry = tags.get(_EXTRA_SAMPLES)
    said = file.values(entry, 1)
    if (
        entry is None
        or not said
        or file.values(tags.get(_PHOTOMETRIC), 1) not in ((1,), (2,), (3,))
    ):
        return data, -1
    value = struct.pack(file.order + _CODES[entry.type], meaning)
    end = entry.offset + len(value)
    return data[: entry.offset] + value + data[end:], said[0]
