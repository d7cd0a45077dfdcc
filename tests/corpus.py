"""Image files for tests: whole, animated and broken ones. Generated, never stored."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """Smooth colours with noise, so that no codec finds it trivial; uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 100, width))
    noise = rng.integers(0, 30, (height, width, 3))
    return np.clip(ramp[..., None] + noise + (0, 20, 5), 0, 255).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, format, **options
    )
    return buffer.getvalue()


def whole_files() -> dict[str, bytes]:
    """One intact still image of every format that is read."""
    return {
        "whole.png": saved(picture(), "PNG"),
        "whole.jpg": saved(picture(), "JPEG", quality=90),
        "progressive.jpg": saved(picture(), "JPEG", progressive=True),
        "whole.webp": saved(picture(), "WEBP", lossless=True),
        "lossy.webp": saved(picture(), "WEBP", quality=80),
        "whole.gif": saved(picture(), "GIF"),
        "whole.tif": saved(picture(), "TIFF"),
        "lzw.tif": saved(picture(), "TIFF", compression="tiff_lzw"),
        "whole.bmp": saved(picture(), "BMP"),
    }


def animated_files(frames: int = 5) -> dict[str, bytes]:
    """An animation, or a document of several pages, in every format that can be one."""
    pages = [Image.fromarray(picture(seed=seed)) for seed in range(frames)]
    more = {"save_all": True, "append_images": pages[1:]}
    return {
        "moving.gif": saved(pages[0], "GIF", duration=100, **more),
        "moving.webp": saved(pages[0], "WEBP", lossless=True, duration=100, **more),
        "moving.png": saved(pages[0], "PNG", duration=100, **more),
        "pages.tif": saved(pages[0], "TIFF", **more),
        # Pillow writes wrong offsets for a third picture
        "pictures.jpg": saved(pages[0], "MPO", save_all=True, append_images=pages[1:2]),
    }


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk with the right checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(header: tuple[int, int, int, int], data: bytes, *, extra: bytes = b"") -> bytes:
    """A PNG of width, height, depth, colour type and zlib data."""
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
        + extra
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def tiff_of(
    tags: dict[int, tuple[int, int, int]], *, following: int = 0, pixels: bytes = b""
) -> bytes:
    """A little-endian TIFF of one page: tag -> (type, count, value), pixels at byte 8."""
    start = 8 + len(pixels)
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items()))
    page = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return b"II*\x00" + struct.pack("<I", start) + pixels + page


def overlapping_pages(pages: int) -> bytes:
    """A TIFF of pages of 400 entries each, which start six bytes apart and lead to the next one.

    A reader that follows the chain reads the same bytes again and again.
    """
    step, entries = 6, 400
    data = bytearray(8 + step * pages + entries * 12 + 6)
    data[:8] = b"II*\x00" + struct.pack("<I", 8)
    for page in range(pages):
        start = 8 + step * page
        following = start + step if page < pages - 1 else 0
        struct.pack_into("<H", data, start, entries)
        struct.pack_into("<I", data, start + 2 + 12 * entries, following)
    return bytes(data)


def shared_strips(pages: int) -> bytes:
    """A TIFF of pages that all name the same long list of strips."""
    tags = {**grey_tags(4, 4), 273: (4, 400, 8), 279: (4, 400, 8)}
    size = 2 + 12 * len(tags) + 4
    data = b"II*\x00" + struct.pack("<I", 8 + 1_600) + bytes(1_600)
    for page in range(pages):
        following = len(data) + size if page < pages - 1 else 0
        data += tiff_of(tags, following=following)[8:]
    return data


def grey_tags(width: int, height: int, *, strips: int = 8) -> dict[int, tuple[int, int, int]]:
    """Tags of an uncompressed 8-bit grey page whose one strip starts at byte ``strips``."""
    return {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, strips),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, width * height),
    }


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose first scan comes ``count`` times more, without an effect."""
    data = saved(picture(), "JPEG", progressive=True)
    return with_scans(data, data.index(b"\xff\xc2"), count)


def with_scans(data: bytes, header: int, count: int) -> bytes:
    """A JPEG in which the first scan behind ``header`` comes ``count`` times more."""
    start = data.index(b"\xff\xc4", header)  # with its table of codes
    end = data.index(b"\xff\xc4", data.index(b"\xff\xda", start))
    return data[:end] + data[start:end] * count + data[end:]


def apng_of(rows: bytes, *, declared: int) -> bytes:
    """An APNG of two frames, 56 x 40; ``rows`` are those of the second, ``declared`` its count."""
    first = zlib.compress(_rows(picture()))
    control = struct.pack(">IIIIHHBB", 56, 40, 0, 0, 1, 10, 0, 0)
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 56, 40, 8, 2, 0, 0, 0))
        + chunk(b"acTL", struct.pack(">II", declared, 0))
        + chunk(b"fcTL", struct.pack(">I", 0) + control)
        + chunk(b"IDAT", first)
        + chunk(b"fcTL", struct.pack(">I", 1) + control)
        + chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _rows(pixels: np.ndarray) -> bytes:
    """Rows as PNG compresses them: a filter byte before each."""
    return b"".join(b"\x00" + row.tobytes() for row in pixels)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("picture.png", whole_files()["whole.png"])
    return buffer.getvalue()


def _changed(data: bytes, position: int) -> bytes:
    return data[:position] + bytes((data[position] ^ 0x55,)) + data[position + 1 :]


def _texts() -> dict[str, bytes]:
    page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    drawing = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9"></svg>'
    return {
        "empty.png": b"",
        "text.jpg": "no image, only wörds\n".encode(),
        "page.jpg": page,
        "drawing.png": drawing,
        "document.png": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "archive.jpg": _zip(),
        "zeros.jpg": bytes(4096),
        "noise.jpg": np.random.default_rng(7).bytes(4096),
    }


def _unsupported() -> dict[str, bytes]:
    return {
        "layers.psd": b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3),
        "plain.ppm": saved(picture(), "PPM"),
        "icon.ico": saved(picture(), "ICO", sizes=[(16, 16)]),
        "phone.heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64),
        "film.jpg": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(64),
        "sound.webp": b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(28),
    }


def _pngs() -> dict[str, bytes]:
    whole = whole_files()["whole.png"]
    rows = _rows(picture())
    short = zlib.compress(rows[: len(rows) // 3])
    row = len(rows) // 40
    stored = zlib.compress(rows, 0)  # its own checksum, the last 4 bytes, is read by no decoder
    return {
        "signature.png": SIGNATURE,
        "cut-header.png": whole[:20],
        "cut-pixels.png": whole[: len(whole) // 2],
        "cut-end.png": whole[:-12],
        "checksum-header.png": _changed(whole, 18),
        "checksum-pixels.png": _changed(whole, len(whole) // 2),
        "checksum-split.png": _changed(
            png_of((56, 40, 8, 2), stored[-4:], extra=chunk(b"IDAT", stored[:-4])), len(stored) // 2
        ),
        "zero-width.png": png_of((0, 40, 8, 2), zlib.compress(b"")),
        "bomb.png": png_of((50_000, 50_000, 8, 2), zlib.compress(bytes(50_000))),
        "bomb-huge.png": png_of((0x7FFFFFFF, 0x7FFFFFFF, 8, 6), zlib.compress(b"")),
        "missing-rows.png": png_of((56, 40, 8, 2), short),
        "last-row.png": png_of((56, 40, 8, 2), zlib.compress(rows[:-row])),
        "frame-rows.png": apng_of(rows[: 12 * row], declared=2),
        "frame-count.png": apng_of(rows, declared=1),
        "fewer-frames.png": apng_of(rows, declared=9),
        "bomb-frames.png": png_of((1, 1, 8, 0), b"", extra=chunk(b"fcTL", bytes(26)) * 10_001),
        "zlib.png": png_of((56, 40, 8, 2), b"\x78\x9c" + bytes(range(200))),
        "colour-type.png": png_of((56, 40, 8, 5), zlib.compress(rows)),
        "no-pixels.png": SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b""),
        "two-palettes.png": png_of(
            (56, 40, 8, 3), zlib.compress(bytes(57 * 40)), extra=chunk(b"PLTE", bytes(3)) * 2
        ),
        "no-palette.png": png_of((56, 40, 8, 3), zlib.compress(bytes(57 * 40))),
        "text-bomb.png": png_of(
            (56, 40, 8, 2),
            zlib.compress(rows),
            extra=chunk(b"zTXt", b"note\x00\x00" + zlib.compress(bytes(5_000_000))),
        ),
    }


def _jpegs() -> dict[str, bytes]:
    whole = whole_files()["whole.jpg"]
    scan = whole.index(b"\xff\xda")
    size = whole.index(b"\xff\xc0") + 5
    return {
        "cut-header.jpg": whole[:10],
        "cut-pixels.jpg": whole[: (scan + len(whole)) // 2],
        "cut-end.jpg": whole[:-2],
        "painted.jpg": whole[: (scan + len(whole)) // 2] + b"\xff\xd9",
        "no-scan.jpg": whole[:scan] + b"\xff\xd9",
        "empty-scan.jpg": whole[: scan + 14] + b"\xff\xd9",
        "zero-height.jpg": whole[:size] + b"\x00\x00" + whole[size + 2 :],
        "bomb.jpg": whole[:size] + b"\xff\xff\xff\xff" + whole[size + 4 :],
        "bomb-scans.jpg": many_scans(500),
        "12-bits.jpg": whole[: size - 1] + b"\x0c" + whole[size:],
        "lossless.jpg": whole[: size - 4] + b"\xc3" + whole[size - 3 :],
        "hierarchical.jpg": whole[: size - 4] + b"\xc5" + whole[size - 3 :],
        "taller.jpg": whole[:size] + struct.pack(">H", 80) + whole[size + 2 :],
    }


def _gifs_and_webps() -> dict[str, bytes]:
    gif, webp = whole_files()["whole.gif"], whole_files()["whole.webp"]
    moving = animated_files()["moving.gif"]
    one_pixel = b"," + struct.pack("<HHHHBB", 0, 0, 1, 1, 0, 2) + b"\x01\x00\x00"
    frames = b"VP8X" + struct.pack("<I", 10) + bytes(10) + (b"ANMF" + bytes(4)) * 10_001
    canvas = webp[:21] + struct.pack("<I", 0x3FFF | 0x3FFF << 14) + webp[25:]
    return {
        "cut-header.gif": gif[:9],
        "cut-pixels.gif": gif[: len(gif) // 2],
        "cut-end.gif": gif[:-2],
        "cut-later.gif": moving[: len(moving) * 2 // 3],
        "no-frame.gif": b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";",
        "bomb.gif": b"GIF89a"
        + struct.pack("<HHBBB", 4, 4, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 0xFFFF, 0xFFFF, 0)
        + b"\x02\x01\x00\x00;",
        "bomb-frames.gif": b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + one_pixel * 10_001
        + b";",
        "block.gif": gif[:-1] + b"?" + gif[-1:],
        "cut-header.webp": webp[:20],
        "cut-pixels.webp": webp[: len(webp) // 2],
        "bomb.webp": canvas,
        "bomb-frames.webp": b"RIFF" + struct.pack("<I", len(frames) + 4) + b"WEBP" + frames,
    }


def _tiffs_and_bmps() -> dict[str, bytes]:
    bmp, tiff = whole_files()["whole.bmp"], whole_files()["whole.tif"]
    looping = tiff_of(grey_tags(4, 4), pixels=bytes(16), following=24)
    lost = tiff_of(grey_tags(4, 4), pixels=bytes(16), following=9_999)
    missing = {**grey_tags(8, 8), 278: (4, 1, 2)}
    links = b"".join(struct.pack("<HI", 0, 14 + 6 * page) for page in range(10_001))
    large = tiff_of(grey_tags(60_000, 60_000), pixels=bytes(16))
    absurd = {**grey_tags(4, 4), 277: (4, 1, 4_000_000_000), 258: (3, 1, 77)}
    return {
        "cut-header.tif": tiff[:6],
        "cut-pages.tif": tiff[: len(tiff) // 2],
        "cut-link.tif": tiff_of(grey_tags(4, 4), pixels=bytes(16))[:-2],
        "loop.tif": looping,
        "lost-page.tif": lost,
        "no-page.tif": b"II*\x00" + struct.pack("<I", 0),
        "bomb.tif": large,
        "bomb-frames.tif": b"II*\x00" + struct.pack("<I", 8) + links,
        "bomb-page.tif": tiff_of(grey_tags(4, 4), pixels=bytes(16), following=138) + large[24:],
        # Each page starts two bytes behind the last one, and holds nearly all of it.
        "overlapping.tif": overlapping_pages(300),
        "overlapping-strips.tif": shared_strips(60),
        "absurd.tif": tiff_of(absurd, pixels=bytes(16)),
        "beyond.tif": tiff_of(grey_tags(4, 4, strips=5_000), pixels=bytes(16)),
        "missing-strips.tif": tiff_of(missing, pixels=bytes(64)),
        "header.bmp": bmp[:14] + struct.pack("<I", 90) + bmp[18:] + bytes(60),
        "cut-runs.bmp": bmp[:28] + struct.pack("<HI", 8, 1) + bmp[34:1_080],
        "cut-pixels.bmp": bmp[: len(bmp) // 2],
        "cut-header.bmp": bmp[:20],
        "bomb.bmp": bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:],
    }


def broken_files() -> dict[str, bytes]:
    """More than sixty files that are no whole image, by name; a name with ``bomb`` is too large."""
    return {
        **_texts(),
        **_unsupported(),
        **_pngs(),
        **_jpegs(),
        **_gifs_and_webps(),
        **_tiffs_and_bmps(),
    }
