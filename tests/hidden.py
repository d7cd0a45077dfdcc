"""Files in which a scene is hidden in each way in which viewers show a file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from tests.corpus import chunk, grey_tags, png_of, saved


def hidden_scenes(scene: np.ndarray, clean: np.ndarray) -> dict[str, bytes]:
    """Files that show ``scene`` to somebody, by name; both are RGB of one size, ``clean`` is flat.

    A viewer that knows one way only, such as Pillow, shows nothing of the scene in most of them.
    """
    clear = np.zeros(scene.shape[:2], np.uint8)
    under = Image.fromarray(np.dstack([scene, clear]))
    marked = (scene != clean).any(axis=2)
    jpeg = saved(scene, "JPEG", quality=95, subsampling=0)
    wide = scene.astype(np.uint16) * 256 + 1
    keys = {tuple(int(value) << 8 for value in colour) for colour in scene[marked][:1]}
    exchanged = np.ascontiguousarray(scene[..., ::-1])
    unspecified = saved(under, "TIFF")
    at = unspecified.index(struct.pack("<HHI", 338, 3, 1)) + 8
    frames = {"save_all": True, "append_images": [Image.fromarray(scene)]}
    picture_behind = {
        f"behind.{format.lower()}": saved(clean, format) + bytes(2) + jpeg
        for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
    }
    return {
        "alpha-0.png": saved(under, "PNG"),
        "alpha-0.webp": saved(under, "WEBP", lossless=True, exact=True),
        "alpha-0.tif": unspecified,
        "alpha-unspecified.tif": unspecified[:at] + b"\x00\x00" + unspecified[at + 2 :],
        "alpha-premultiplied.tif": unspecified[:at] + b"\x01\x00" + unspecified[at + 2 :],
        "key-of-16-bits.png": wide_png(wide, keys.pop()),
        "profile.png": saved(exchanged, "PNG", icc_profile=swapped_profile()),
        "primaries.png": rgb_png(
            exchanged,
            chunk(b"gAMA", struct.pack(">I", 45_455))
            + chunk(b"cHRM", struct.pack(">8I", *SWAPPED_PRIMARIES)),
        ),
        "second-frame.gif": saved(clean, "GIF", **frames),
        "second-page.tif": saved(clean, "TIFF", **frames),
        "thumbnail.jpg": saved(clean, "JPEG", exif=exif_with_thumbnail(jpeg)),
        "thumbnail.png": saved(clean, "PNG", exif=exif_with_thumbnail(jpeg)),
        "thumbnail.webp": saved(clean, "WEBP", exif=exif_with_thumbnail(jpeg)),
        "sub-image.tif": with_sub_image(clean, scene),
        **picture_behind,
        "wrong-checksum.png": rgb_png(scene, chunk(b"tEXt", b"a\x00b")[:-4] + bytes(4)),
        "no-trailer.gif": saved(scene, "GIF")[:-1],
    }


SWAPPED_PRIMARIES = (31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000)
"""Primaries (cHRM) with red and blue exchanged."""


def wide_png(values: np.ndarray, key: tuple[int, ...]) -> bytes:
    """A PNG of 16 bits a channel with a transparent colour."""
    height, width = values.shape[:2]
    kind = 2 if values.ndim == 3 else 0
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
    extra = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    return png_of((width, height, 16, kind), zlib.compress(rows), extra=extra)


def swapped_profile() -> bytes:
    """sRGB with the colours of red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * profile[131], 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def rgb_png(picture: np.ndarray, extra: bytes) -> bytes:
    rows = b"".join(b"\x00" + row.tobytes() for row in picture)
    return png_of((*picture.shape[1::-1], 8, 2), zlib.compress(rows), extra=extra)


def exif_with_thumbnail(thumbnail: bytes) -> bytes:
    """EXIF data whose second directory names a JPEG."""
    entries = [(259, 3, 1, 6), (513, 4, 1, 58), (514, 4, 1, len(thumbnail))]
    second = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\x00" + struct.pack("<I", 8) + struct.pack("<HI", 0, 14)
    return b"Exif\x00\x00" + head + second + struct.pack("<I", 0) + bytes(2) + thumbnail


def with_sub_image(page: np.ndarray, hidden: np.ndarray) -> bytes:
    """A TIFF whose page has a sub-image that no chain of pages leads to."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[330] = 0x01020304
    info.tagtype[330] = 4
    data = saved(page, "TIFF", tiffinfo=info)
    data += bytes(len(data) % 2)
    pixels, start = hidden.tobytes(), len(data)
    tags = {**grey_tags(*hidden.shape[1::-1], strips=start), 258: (3, 3, start + len(pixels)),
            262: (3, 1, 2), 277: (3, 1, 3), 279: (4, 1, len(pixels))}  # fmt: skip
    data += pixels + struct.pack("<HHH", 8, 8, 8)
    directory = struct.pack("<I", len(data))
    data += struct.pack("<H", len(tags))
    data += b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags)) + bytes(4)
    return data.replace(struct.pack("<I", 0x01020304), directory)
