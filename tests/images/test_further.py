"""Further pictures in a file: each is assessed, or named as not assessed."""

from __future__ import annotations

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from counterveil.images import Limits, load
from counterveil.types import Frame
from tests.corpus import animated_files, chunk, grey_tags, picture, saved, tiff_of, whole_files
from tests.hidden import exif_with_thumbnail, with_sub_image
from tests.pipeline.detectors import RED, ColourDetector

DETECTOR = ColourDetector(RED)
CLEAN = np.full((40, 56, 3), 150, np.uint8)


def scene(height: int = 24, width: int = 32) -> np.ndarray:
    image = np.full((height, width, 3), 150, np.uint8)
    image[4:16, 8:24] = RED
    return image


JPEG = saved(scene(), "JPEG", quality=95, subsampling=0)
PNG = saved(scene(), "PNG")


def further(data: bytes, **options: object) -> dict[str, bool]:
    """Name of each further picture, and whether it is flagged; the file itself is not."""
    frames = load(data, **options)
    assert not any(flagged(frame) for frame in frames if frame.released)
    return {frame.view: flagged(frame) for frame in frames if not frame.released}


def flagged(frame: Frame) -> bool:
    return bool(DETECTOR.score(frame.pixels[None])[0] >= 0.5)


def not_assessed(data: bytes) -> str:
    return "; ".join(load(data)[0].not_assessed)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_exif_thumbnail(format):
    data = saved(CLEAN, format, exif=exif_with_thumbnail(JPEG))
    assert further(data) == {"EXIF thumbnail": True}
    assert not_assessed(data) == ""


def test_an_exif_thumbnail_in_a_text_chunk():
    info = PngImagePlugin.PngInfo()
    block = exif_with_thumbnail(JPEG)
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    assert further(saved(CLEAN, "PNG", pnginfo=info)) == {"EXIF thumbnail": True}


def test_an_exif_thumbnail_without_compression():
    tags = {**grey_tags(32, 24), 258: (3, 1, 8), 262: (3, 1, 2), 277: (3, 1, 3)}
    tags[279] = (4, 1, 32 * 24 * 3)
    pixels = scene().tobytes()
    tags[258] = (3, 3, 8 + len(pixels) - 6)  # three numbers of 16 bits need a place of their own
    depths = struct.pack("<HHH", 8, 8, 8)
    whole = tiff_of(tags, pixels=pixels[:-6] + depths)
    first = struct.pack("<HI", 0, struct.unpack_from("<I", whole, 4)[0])
    exif = b"Exif\x00\x00II*\x00" + struct.pack("<I", len(whole)) + whole[8:] + first
    assert further(saved(CLEAN, "PNG", exif=exif)) == {"EXIF thumbnail": True}


def test_a_broken_exif_thumbnail_is_named():
    data = saved(CLEAN, "JPEG", exif=exif_with_thumbnail(JPEG[:-40]))
    assert further(data) == {}
    assert "the EXIF thumbnail was not assessed: JPEG: truncated" in not_assessed(data)


def jpeg_with(marker: int, body: bytes) -> bytes:
    data = saved(CLEAN, "JPEG", quality=95)
    segment = b"\xff" + bytes((marker,)) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segment + data[2:]


def test_jfif_thumbnails():
    raw = scene().tobytes()
    jfif = b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01" + bytes((32, 24)) + raw
    assert further(jpeg_with(0xE0, jfif)) == {"JFIF thumbnail": True}
    assert further(jpeg_with(0xE0, b"JFXX\x00\x13" + bytes((32, 24)) + raw)) == {
        "JFIF thumbnail": True
    }
    indexed = Image.fromarray(scene()).quantize(4)
    table = bytes(indexed.getpalette()).ljust(768, b"\x00")
    body = b"JFXX\x00\x11" + bytes((32, 24)) + table + indexed.tobytes()
    assert further(jpeg_with(0xE0, body)) == {"JFIF thumbnail": True}
    assert further(jpeg_with(0xE0, b"JFXX\x00\x10" + JPEG)) == {"picture in the metadata": True}


def test_a_photoshop_thumbnail():
    resource = bytes(28) + JPEG
    body = b"Photoshop 3.0\x008BIM\x04\x0c\x00\x00" + struct.pack(">I", len(resource)) + resource
    assert further(jpeg_with(0xED, body)) == {"picture in the metadata": True}


def test_a_picture_in_xmp():
    text = base64.b64encode(JPEG)
    xmp = b"<x:xmpmeta><xmpGImg:image>" + text[:70] + b"&#xA;" + text[70:] + b"</xmpGImg:image>"
    assert further(saved(CLEAN, "JPEG", xmp=xmp)) == {"picture in the metadata": True}
    assert further(saved(CLEAN, "WEBP", xmp=xmp)) == {"picture in the metadata": True}


def test_a_picture_in_extended_xmp_that_is_cut_into_segments():
    text = base64.b64encode(saved(scene(), "PNG", compress_level=0))
    half = len(text) // 2 + 1
    data = saved(CLEAN, "JPEG")
    for at, part in ((half, text[half:]), (0, text[:half])):
        body = b"http://ns.adobe.com/xmp/extension/\x00" + bytes(32)
        body += struct.pack(">II", len(text), at) + part
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    assert further(data) == {"picture in the metadata": True}


def test_a_picture_in_a_private_png_chunk():
    data = saved(CLEAN, "PNG")
    assert further(data[:33] + chunk(b"prVt", PNG) + data[33:]) == {"picture in the metadata": True}


@pytest.mark.parametrize("name", whole_files())
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_behind_the_end(name, format):
    options = {"WEBP": {"lossless": True}}.get(format, {})
    hidden = saved(scene(), format, **options)
    data = whole_files()[name] + bytes(3) + hidden
    assert further(data) == {"picture behind the end": True}
    assert not_assessed(data) == ""
    assert any("behind the image's end" in note for note in load(data)[0].notes)


def test_several_pictures_behind_the_end_are_told_apart():
    data = saved(CLEAN, "PNG") + JPEG + b"-" * 9 + PNG + JPEG  # the same one twice
    frames = [frame for frame in load(data) if not frame.released]
    assert len(frames) == 2 and all(map(flagged, frames))


def test_an_animation_behind_the_end():
    hidden = saved(
        CLEAN + 9, "GIF", save_all=True, append_images=[Image.fromarray(scene())], duration=9
    )
    assert further(saved(CLEAN, "PNG") + hidden) == {
        "picture behind the end, frame 0": False,
        "picture behind the end, frame 1": True,
    }


def test_a_view_of_a_further_picture():
    hidden = np.dstack([scene(), np.zeros((24, 32), np.uint8)])
    data = saved(CLEAN, "PNG") + saved(Image.fromarray(hidden), "PNG")
    assert further(data)["picture behind the end, alpha ignored"]


@pytest.mark.parametrize(
    ("hidden", "name"),
    [
        (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "an MP4-like file (a video?)"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "a HEIC image"),
        (b"\x1aE\xdf\xa3" + bytes(40), "a Matroska or WebM video"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04" + bytes(40), "a zip archive (or an office document)"),
        (b"8BPS\x00\x01" + bytes(40), "a Photoshop document"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    ],
)
def test_what_cannot_be_assessed_behind_the_end_is_named(hidden, name):
    data = saved(CLEAN, "JPEG") + b"trailer" + hidden
    assert further(data) == {}
    assert f"{name} behind the image was not assessed" in not_assessed(data)


def test_a_truncated_picture_behind_the_end_is_named():
    assert "picture behind the end was not assessed" in not_assessed(
        saved(CLEAN, "PNG") + JPEG[:99]
    )


def test_bytes_that_are_no_picture_are_a_note():
    data = saved(CLEAN, "PNG") + bytes(300) + b"what else"
    (frame,) = load(data)
    assert frame.not_assessed == ()
    assert "309 bytes behind the image's end were left out" in frame.notes


def test_a_gain_map_is_assessed():
    xmp = b'<x:xmpmeta><a hdrgm:Version="1.0"/></x:xmpmeta>'
    buffer = io.BytesIO()
    first = Image.fromarray(CLEAN)
    first.save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(scene())], quality=95)
    data = buffer.getvalue()
    body = b"http://ns.adobe.com/xap/1.0/\x00" + xmp
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    assert further(data) == {"picture behind the end": True}


def test_pictures_of_a_multi_picture_jpeg_stay_frames():
    frames = load(animated_files()["pictures.jpg"])
    assert [(frame.frame, frame.released, frame.view) for frame in frames] == [
        (0, True, ""),
        (1, True, ""),
    ]


def test_a_tiff_sub_image():
    assert further(with_sub_image(CLEAN, scene())) == {"TIFF sub-image 1": True}


def test_a_tiff_sub_image_outside_the_file_is_named():
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[330] = 99_999
    info.tagtype[330] = 4
    assert "TIFF sub-image 1 was not assessed" in not_assessed(saved(CLEAN, "TIFF", tiffinfo=info))


def test_photoshop_layers_in_a_tiff_are_named():
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[37724] = b"Adobe Photoshop Document Data Block\x00"
    info.tagtype[37724] = 7
    assert not_assessed(saved(CLEAN, "TIFF", tiffinfo=info)) == (
        "its Photoshop layers were not assessed"
    )


def test_a_picture_in_a_tag_of_a_tiff():
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[65000] = JPEG
    info.tagtype[65000] = 7
    assert further(saved(CLEAN, "TIFF", tiffinfo=info)) == {"picture in the metadata": True}


def test_the_tables_of_a_tiff_that_is_compressed_as_jpeg_are_no_picture():
    (frame,) = load(saved(picture(), "TIFF", compression="jpeg"))
    assert frame.not_assessed == ()


def test_frames_over_the_limit_are_named():
    data = animated_files(11)["moving.gif"]
    frames = load(data, limits=Limits(frames=3))
    assert frames[0].not_assessed == ("8 of 11 frames were not assessed",)
    assert {frame.not_assessed for frame in frames} == {frames[0].not_assessed}


def test_further_pictures_are_bounded():
    many = b"".join(saved(picture(8, 8, seed), "PNG") for seed in range(12))
    frames = load(saved(CLEAN, "PNG") + many, limits=Limits(frames=3))
    assert sum(not frame.released for frame in frames) == 3
    assert "more pictures in the file were not assessed" in frames[0].not_assessed
    # A bomb: starts of pictures without end, none of which is one.
    frames = load(saved(CLEAN, "PNG") + b"\xff\xd8\xff\xe0" * 50_000)
    assert "more pictures in the file were not assessed" in frames[0].not_assessed


def test_further_pictures_count_as_pixels():
    data = saved(CLEAN, "PNG") + saved(picture(), "PNG")
    frames = load(data, limits=Limits(total_pixels=2_240))
    assert [frame.released for frame in frames] == [True]
    assert "limits.total_pixels" in "; ".join(frames[0].not_assessed)
