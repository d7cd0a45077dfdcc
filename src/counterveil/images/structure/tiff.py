"""TIFF: the chain of pages, which may loop or lead out of the file."""

from __future__ import annotations

import struct

from counterveil.errors import ImageBrokenError
from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout


def survey(data: bytes, limits: Limits) -> Layout:
    """Follow the chain of pages.

    Raises:
        ImageBrokenError: it leads out of the file or back to a page already seen.
        ImageTooLargeError: over a limit.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    count, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    position = _unpack(order + link, data, 8 if big else 4, 0)
    seen: set[int] = set()
    while position:
        if position in seen:
            raise ImageBrokenError(
                f"page {len(seen) - 1} leads back to an earlier page, for ever; "
                "ask for an intact copy"
            )
        seen.add(position)
        limits.check("frames_held", len(seen), f"{len(seen)} pages")
        entries = _unpack(order + count, data, position, len(seen) - 1)
        position += struct.calcsize(order + count) + entries * entry
        position = _unpack(order + link, data, position, len(seen) - 1)
    if not seen:
        raise ImageBrokenError("a TIFF without a page: there is no image in it")
    return Layout(len(seen))


def _unpack(form: str, data: bytes, position: int, page: int) -> int:
    try:
        value: int = struct.unpack_from(form, data, position)[0]
    except (struct.error, OverflowError) as error:
        raise ImageBrokenError(
            f"truncated: page {page} should be described at byte {position}, "
            f"and the file has {len(data)}; ask for an intact copy"
        ) from error
    return value
