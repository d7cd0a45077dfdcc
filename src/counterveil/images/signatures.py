"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

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
"""The formats that are read, and the endings that go with them. Codecs of rare formats are an
attack surface that no user of this library misses."""

_OURS = (
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

_OTHERS = (
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


def kind(data: bytes) -> str:
    """The format's name, a key of ``SUFFIXES``.

    Raises:
        ImageBrokenError: none that is read; the message says what it is where that is plain.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _boxed(data[8:12])
    for magic, name in _OURS:
        if data.startswith(magic):
            return name
    raise ImageBrokenError(
        f"{_otherwise(data)}, not an image that this library reads; convert it to PNG"
    )


def misnamed(name: str, format: str) -> tuple[str, ...]:
    """A note where a file's name promises another format than its bytes hold."""
    suffix = PurePath(name).suffix.lower()
    known = any(suffix in endings for endings in SUFFIXES.values())
    if known and suffix not in SUFFIXES[format]:
        return (f"named {suffix} but holds {format}; read as {format}",)
    return ()


def _boxed(brand: bytes) -> str:
    if brand in (b"avif", b"avis", b"mif1", b"msf1"):
        if features.check("avif"):
            return "AVIF"
        raise ImageBrokenError("an AVIF image, which this build of Pillow does not read")
    heic = brand in (b"heic", b"heix", b"hevc", b"heim", b"heis")
    what = "a HEIC image" if heic else "an MP4-like file (a video?)"
    raise ImageBrokenError(f"{what}, not an image that this library reads; convert it to PNG")


def _otherwise(data: bytes) -> str:
    for magic, words in _OTHERS:
        if data.startswith(magic):
            return words
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in data[:4096].lower():
        return "an SVG drawing, which is a program rather than pixels"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (an error page of a download?)"
    if not data[:1024].strip(b"\x00"):
        return "nothing but zeros (an interrupted download?)"
    if all(byte in b"\t\n\r\x0c\x1b" or 32 <= byte != 127 for byte in data[:1024]) and _is_text(
        data
    ):
        return "a text file"
    return "bytes of no known format"


def _is_text(data: bytes) -> bool:
    try:
        data[:1024].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > 1020  # a character cut in two by the slice
    return True
