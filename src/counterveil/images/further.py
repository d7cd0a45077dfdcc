"""Further pictures in a file: thumbnails, sub-images, pictures in metadata or behind its end."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image as Pillow

from counterveil.errors import ImageError
from counterveil.images.codec_errors import CODEC_ERROR_TYPES
from counterveil.images.frame import OpenedFile
from counterveil.images.limits import Limits
from counterveil.images.signatures import detect_format, name_hidden
from counterveil.images.structure import avif, jpeg, png, read_layout, tiff
from counterveil.images.structure.multiframe import webp_chunks

_JPEG_OR_PNG = rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n"
_IN_METADATA = re.compile(_JPEG_OR_PNG)
_ANYWHERE = re.compile(
    _JPEG_OR_PNG
    + rb"|GIF8[79]a|RIFF....WEBP|II[*+]\x00|MM\x00[*+]"
    + rb"|BM.{4}\x00{4}.{4}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00{3}"
    + rb"|\x00\x00..ftyp(?:avif|avis|mif1|msf1)",
    re.DOTALL,
)
_BASE64 = re.compile(rb"(?:/9j/|iVBORw0KGgo)(?:[A-Za-z0-9+/=\s]+|&#x?[0-9A-Fa-f]+;)+")
_ENTITY = re.compile(rb"&#x?[0-9A-Fa-f]+;")
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
_XMP_EXTENSION_HEADER = len(_XMP_EXTENSION) + 32 + 8
_ERRORS: tuple[type[Exception], ...] = (ImageError, *CODEC_ERROR_TYPES)
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"fdAT", b"IEND", b"eXIf"})
_WEBP_PIXEL_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANMF", b"EXIF"})


@dataclass(frozen=True, eq=False)
class FurtherPicture:
    """A picture beside the frames of a file.

    Attributes:
        name: for people, such as ``"EXIF thumbnail"``.
        data: a file of its own; more may follow behind its end.
        frame: index of the frame that it belongs to.
    """

    name: str
    data: bytes
    frame: int = 0


def further_pictures(file: OpenedFile, frames: tuple[int, ...]) -> Iterator[FurtherPicture]:
    """Find what may be a picture; the same bytes may come twice.

    Args:
        file: after its frames were decoded.
        frames: indices of the frames that are assessed.
    """
    yield from _exif_thumbnails(file, frames)
    if file.format == "TIFF":
        yield from _sub_images(file, frames)
    if file.format == "JPEG":
        yield from _jfif_thumbnails(file)
    if file.format == "AVIF" and (other := avif.other_presentation(file.data)):
        still = other[8:12] == b"avif"
        yield FurtherPicture("still picture" if still else "animation", other)
    for block in _metadata(file):
        yield from _found("picture in the metadata", block, _IN_METADATA, file.limits)
        for match in _BASE64.finditer(block):
            text = _ENTITY.sub(b"", match.group().translate(None, b"= \t\r\n\v\f"))
            data = base64.b64decode(text + b"=" * (-len(text) % 4) if len(text) % 4 != 1 else b"")
            yield FurtherPicture("picture in the metadata", data)
    for start, end in _behind(file):
        yield from _found("picture behind the end", file.data[start:end], _ANYWHERE, file.limits)


def hidden_files(file: OpenedFile, frames: tuple[int, ...]) -> tuple[str, ...]:
    """Sentences on what no decoder here reads, such as a video behind the end."""
    names = (name_hidden(file.data[start:end]) for start, end in _behind(file))
    sentences = [f"{name} behind the image was not assessed" for name in names if name]
    if file.format == "TIFF":
        opened = tiff.TiffFile(file.data)
        if any(opened.extent(file.layout.pages[i], tiff.PHOTOSHOP_LAYERS)[1] for i in frames):
            sentences.append("its Photoshop layers were not assessed")
    return tuple(dict.fromkeys(sentences))


def bytes_behind(file: OpenedFile) -> int:
    """Number of bytes behind the image, and between its frames."""
    return sum(end - start for start, end in _behind(file))


def _found(
    name: str, block: bytes, signatures: re.Pattern[bytes], limits: Limits
) -> Iterator[FurtherPicture]:
    """Pictures by their first bytes; those inside another picture belong to it."""
    position = 0
    while match := signatures.search(block, position):
        data = block[match.start() :]
        position = match.end()
        with suppress(*_ERRORS):  # told by whoever decodes it
            end = read_layout(data, detect_format(data), limits).end
            position = max(position, match.start() + (end or 0))
            if jpeg.holds_only_tables(data, limits):  # every TIFF that is compressed as JPEG
                continue
        yield FurtherPicture(name, data)


def _exif_thumbnails(file: OpenedFile, frames: tuple[int, ...]) -> Iterator[FurtherPicture]:
    """Pictures of the second and later directories of EXIF data, which are a TIFF of their own."""
    for frame in frames if file.format == "JPEG" else frames[:1]:
        if file.format == "JPEG":
            file.image.seek(frame)  # each picture of a JPEG file has EXIF data of its own
        block = _exif_block(file)
        with suppress(*_ERRORS):  # damaged EXIF data: pictures are found by their first bytes
            yield from _later_directories(block, frame)
        yield from _found("picture in the metadata", block, _IN_METADATA, file.limits)


def _exif_block(file: OpenedFile) -> bytes:
    """EXIF data without their marker; empty if there are none."""
    exif = file.image.info.get("exif", b"")
    written = file.image.info.get("Raw profile type exif")  # by ImageMagick: a text chunk of a PNG
    with suppress(*_ERRORS):
        if not exif and isinstance(written, str):
            exif = bytes.fromhex("".join(written.split("\n")[3:]))
    return re.sub(rb"^(Exif\x00\x00)+", b"", exif) if isinstance(exif, bytes) else b""


def _later_directories(exif: bytes, frame: int) -> Iterator[FurtherPicture]:
    file = tiff.TiffFile(exif)
    directory = file.link(file.header)
    for _ in range(8):  # there is one; somebody may hide more
        directory = file.link(file.next_link(directory))
        if not directory:
            return
        starts = file.numbers(directory, tiff.JPEG_START)
        sizes = file.numbers(directory, tiff.JPEG_SIZE)
        if starts.size and sizes.any() and starts[0] < len(exif):
            yield FurtherPicture("EXIF thumbnail", exif[int(starts[0]) :], frame)
        elif file.numbers(directory, tiff.STRIPS).size:
            yield FurtherPicture("EXIF thumbnail", file.opened_at(directory), frame)


def _sub_images(file: OpenedFile, frames: tuple[int, ...]) -> Iterator[FurtherPicture]:
    opened = tiff.TiffFile(file.data)
    for frame in frames:
        page = file.layout.pages[frame]
        for number, directory in enumerate(opened.numbers(page, tiff.SUB_PAGES), 1):
            name = f"TIFF sub-image {number}"
            yield FurtherPicture(name, opened.opened_at(min(int(directory), len(file.data))), frame)
        for start in opened.numbers(page, tiff.JPEG_START):
            yield FurtherPicture("TIFF thumbnail", file.data[int(start) :], frame)


def _jfif_thumbnails(file: OpenedFile) -> Iterator[FurtherPicture]:
    """Thumbnails without compression.

    References:
        ITU-T T.871 (JFIF), 10.1 and 10.2.
    """
    for marker, body in getattr(file.image, "applist", ()):
        if marker != "APP0":
            continue
        if body[:5] == b"JFIF\x00" and len(body) >= 14:
            sides, colours, pixels = body[12:14], b"", body[14:]
        elif body[:6] == b"JFXX\x00\x11":
            sides, colours, pixels = body[6:8], body[8:776], body[776:]
        elif body[:6] == b"JFXX\x00\x13":
            sides, colours, pixels = body[6:8], b"", body[8:]
        else:
            continue
        width, height = sides.ljust(2, b"\x00")
        if width and height:
            mode = "P" if colours else "RGB"
            size = width * height * len(mode)
            image = Pillow.frombytes(mode, (width, height), pixels[:size].ljust(size, b"\x00"))
            if colours:
                image.putpalette(colours.ljust(768, b"\x00"))
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            yield FurtherPicture("JFIF thumbnail", buffer.getvalue())


def _metadata(file: OpenedFile) -> Iterator[bytes]:
    """Blocks that hold no pixels of the frames."""
    data = file.data
    if file.format == "PNG":
        yield b"\x00".join(body for name, body, _ in png.chunks(data) if name not in _PIXEL_CHUNKS)
    elif file.format == "WEBP":
        yield b"\x00".join(
            body for name, body in webp_chunks(data) if name not in _WEBP_PIXEL_CHUNKS
        )
    elif file.format == "TIFF":
        opened, blocks = tiff.TiffFile(data), set()
        for page in file.layout.pages[:8]:
            tags = opened.entries(page)["tag"][:256].tolist()
            blocks |= {opened.extent(page, tag)[:2] for tag in tags}
        left = len(data)
        for start, size in sorted(blocks):
            left -= size
            if size > 100 and left >= 0:  # values do not overlap in a file that is meant well
                yield data[start : start + size]
    elif file.format == "JPEG":
        yield from (data[span.start + 2 : span.pixels] for span in file.spans)
        parts = [body for name, body in getattr(file.image, "applist", ()) if name == "APP1"]
        extended = [part for part in parts if part.startswith(_XMP_EXTENSION)]
        yield b"".join(part[_XMP_EXTENSION_HEADER:] for part in extended)


def _behind(file: OpenedFile) -> Iterator[tuple[int, int]]:
    """Start and end of what is behind the image, frames left out."""
    start, end = file.layout.end, len(file.data)
    if start is None or start >= end:
        return
    for span in sorted(file.spans, key=lambda span: span.start):
        if span.start > start:
            yield start, span.start
        start = max(start, span.end)
    if start < end:
        yield start, end
