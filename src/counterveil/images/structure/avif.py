"""AVIF: pictures and colours in its boxes that Pillow does not show."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from counterveil.images.limits import Limits
from counterveil.images.structure.layout import Layout

_PICTURES = frozenset({b"av01", b"grid", b"iovl", b"iden", b"tmap", b"hvc1", b"jpeg", b"unci"})
"""Types of items that are pictures."""
_STANDARD = {1, 2, 5, 6, 13, 14, 15}
"""Code points of primaries and curves (ITU-T H.273) that differ little from sRGB's."""
_P3 = 12
_MOST_BOXES = 10_000


def read_avif(data: bytes, limits: Limits) -> Layout:
    """Name what a viewer may show and Pillow does not; libavif itself refuses a damaged file.

    References:
        ISO/IEC 23008-12 (HEIF), 6; AV1 Image File Format, 4.
    """
    top = list(_boxes(data, 0, len(data)))
    end = max((end for _, _, end in top), default=0)
    meta = next(((start, end) for name, start, end in top if name == b"meta"), None)
    sentences: list[str] = []
    if meta:
        boxes = {name: (start, end) for name, start, end in _boxes(data, meta[0] + 4, meta[1])}
        further = _further_items(data, boxes)
        if further:
            plural = "s" if further > 1 else ""
            sentences.append(f"{further} further picture{plural} in the file were not assessed")
        properties = boxes.get(b"iprp")
        sentences += _colour_sentences(data[slice(*properties)] if properties else b"")
        if b"prem" in {name for name, _, _ in _references(data, boxes)}:
            sentences.append("its alpha is premultiplied: colours under it were not assessed")
    return Layout(None, end, not_assessed=tuple(sentences))


def other_presentation(data: bytes) -> bytes | None:
    """The file with the brand under which Pillow shows the animation, or else the still picture.

    ``None`` where the file holds only one of the two.
    """
    names = {name for name, _, _ in _boxes(data, 0, len(data))}
    if not {b"meta", b"moov"} <= names or data[8:12] not in (b"avif", b"avis"):
        return None
    return data[:8] + (b"avis" if data[8:12] == b"avif" else b"avif") + data[12:]


def _further_items(data: bytes, boxes: dict[bytes, tuple[int, int]]) -> int:
    """Number of pictures that are neither shown nor parts of the one that is shown."""
    primary = _item_number(data, boxes.get(b"pitm"))
    pictures = set(_items(data, boxes)) - {primary}
    shown, references = {primary}, list(_references(data, boxes))
    for _ in range(8):  # an overlay of grids of tiles
        for kind, source, targets in references:
            if kind == b"dimg" and source in shown:
                shown |= set(targets)
            if kind == b"auxl" and shown & set(targets):  # an alpha channel
                shown.add(source)
    return len(pictures - shown)


def _items(data: bytes, boxes: dict[bytes, tuple[int, int]]) -> Iterator[int]:
    if b"iinf" not in boxes:
        return
    start, end = boxes[b"iinf"]
    wide = data[start] > 0
    for name, at, _ in _boxes(data, start + (8 if wide else 6), end):
        if name == b"infe" and data[at] >= 2:
            number, kind = struct.unpack_from(">I2x4s" if data[at] > 2 else ">H2x4s", data, at + 4)
            if kind in _PICTURES:
                yield number


def _references(
    data: bytes, boxes: dict[bytes, tuple[int, int]]
) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    if b"iref" not in boxes:
        return
    start, end = boxes[b"iref"]
    code, size = ("I", 4) if data[start] else ("H", 2)
    for name, at, last in _boxes(data, start + 4, end):
        source, count = struct.unpack_from(f">{code}H", data, at)
        count = min(count, (last - at) // size)
        yield name, source, struct.unpack_from(f">{count}{code}", data, at + size + 2)


def _item_number(data: bytes, box: tuple[int, int] | None) -> int:
    if box is None:
        return -1
    return int(struct.unpack_from(">I" if data[box[0]] else ">H", data, box[0] + 4)[0])


def _colour_sentences(properties: bytes) -> Iterator[str]:
    at = properties.find(b"colrnclx")
    if 0 <= at <= len(properties) - 12:
        primaries, curve = struct.unpack_from(">HH", properties, at + 8)
        if primaries not in _STANDARD | {_P3} or curve not in _STANDARD:
            yield (
                f"it asks for colours other than sRGB (nclx {primaries}, {curve}); viewers that "
                "follow it show colours that were not assessed"
            )
    if b"clap" in properties:
        yield "it asks for a crop (clap); viewers that follow it show a part, not assessed alone"


def _boxes(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the body and end of each box, as far as they are whole."""
    for _ in range(_MOST_BOXES):
        if position + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if size == 1 and body + 8 <= end:
            size, body = struct.unpack_from(">Q", data, body)[0], body + 8
        last = end if size == 0 else position + size
        if last > end or last < body:
            return
        yield name, body, last
        position = last
