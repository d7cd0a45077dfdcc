"""Detects a file's format from its first bytes, never from its name."""

from __future__ import annotations

import re
from pathlib import PurePath
from types import MappingProxyType

from PIL import features

from counterveil.errors import ImageBrokenError

SUFFIXES = MappingProxyType(
    {
        "PNG": (".png", ".apng"),
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        "WEBP": (".webp",),
        "GIF": (".gif",),
        "TIFF": (".tif", ".tiff"),
        "BMP": (".bmp", ".dib"),
        "AVIF": (".avif", ".avifs"),
    }
)
"""Supported formats and their file suffixes. Rare formats are left out on purpose, because each
codec is an attack surface."""

_SUPPORTED = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)

_UNSUPPORTED = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or an office document)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"%!PS", "a PostScript document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"ID3", "a sound file"),
    (b"OggS", "an Ogg file"),
    (b"RIFF", "a RIFF file other than WebP"),
    (b"qoif", "a QOI image"),
    *((b"P%d" % digit, "a portable anymap (PPM)") for digit in range(1, 8)),
)


_HIDDEN = re.compile(
    rb"(?P<ftyp>\x00\x00..ftyp(?!avif|avis|mif1|msf1).{4})|%PDF-|PK\x03\x04|8BPS\x00\x01|jP  \r\n"
    rb"|JXL \r\n|\x1aE\xdf\xa3|OggS\x00|qoif",
    re.DOTALL,
)
"""First bytes of files that people hide behind a picture. Shorter ones would match by chance."""


def name_hidden(data: bytes) -> str:
    """Name of the first video, document or picture of an unsupported format; empty if none."""
    match = _HIDDEN.search(data)
    if match is None:
        return ""
    if match["ftyp"]:
        return _name_iso_media(match["ftyp"][-4:])
    start = match.start() - (4 if match.group()[:3] in (b"jP ", b"JXL") else 0)
    return _name_unsupported(data[start : start + 4096])


def detect_format(data: bytes) -> str:
    """Name of the format, a key of ``SUFFIXES``.

    Raises:
        ImageBrokenError: the format is not supported; the message names it where it is known.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _detect_iso_media(data[8:12])
    for magic, name in _SUPPORTED:
        if data.startswith(magic):
            return name
    raise ImageBrokenError(
        f"{_name_unsupported(data)}, not a supported image format; convert it to PNG"
    )


def has_signature(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a known format, supported or not.

    Formats that are written as text count, too: SVG, PostScript, XPM, XBM, RTF. HTML does not.
    """
    text = is_text(start)
    magics = [magic for magic, _ in (*_SUPPORTED, *_UNSUPPORTED) if not (text and magic in _WORDS)]
    known = start.startswith((*magics, b"RIFF")) or start[4:8] == b"ftyp"
    return known or _PICTURE_IN_TEXT.search(_as_bytes(start)) is not None


def is_text(start: bytes) -> bool:
    """Whether the first bytes of a file hold no control characters, in any common encoding."""
    return all(byte in b"\t\n\r\x0c\x1b" or 32 <= byte != 127 for byte in _as_bytes(start))


_WORDS = (b"BM", b"MZ", b"ID3")
"""Signatures that a text may start with; the header behind them holds control characters."""

_PICTURE_IN_TEXT = re.compile(rb"%PDF|%!PS|<svg|/\* XPM|#define \w+_width|\{\\rtf", re.IGNORECASE)


def _as_bytes(start: bytes) -> bytes:
    """Text as UTF-8 where it is UTF-16 (with its mark, as Windows writes it)."""
    if not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start
    return start.decode("utf-16", "replace").encode("utf-8", "replace")


def suffix_notes(name: str, format: str) -> tuple[str, ...]:
    """A note where the file's suffix belongs to another format than its bytes."""
    suffix = PurePath(name).suffix.lower()
    known = any(suffix in suffixes for suffixes in SUFFIXES.values())
    if known and suffix not in SUFFIXES[format]:
        return (f"named {suffix} but holds {format}; read as {format}",)
    return ()


def _detect_iso_media(brand: bytes) -> str:
    if brand in (b"avif", b"avis", b"mif1", b"msf1"):
        if features.check("avif"):
            return "AVIF"
        raise ImageBrokenError("an AVIF image: this build of Pillow reads none; convert it to PNG")
    raise ImageBrokenError(
        f"{_name_iso_media(brand)}, not a supported image format; convert it to PNG"
    )


def _name_iso_media(brand: bytes) -> str:
    heic = brand in (b"heic", b"heix", b"hevc", b"heim", b"heis")
    return "a HEIC image" if heic else "an MP4-like file (a video?)"


def _name_unsupported(data: bytes) -> str:
    for magic, name in _UNSUPPORTED:
        if data.startswith(magic):
            return name
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in data[:4096].lower():
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (the error page of a download?)"
    if not data[:1024].strip(b"\x00"):
        return "nothing but zeros (an interrupted download?)"
    return "a text file" if _is_text(data[:1024]) else "bytes of no known format"


def _is_text(start: bytes) -> bool:
    """Whether a file's first 1024 bytes are UTF-8 without control characters."""
    if not all(byte in b"\t\n\r\x0c\x1b" or 32 <= byte != 127 for byte in start):
        return False
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > 1020  # the slice may cut a character in two
    return True
