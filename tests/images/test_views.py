"""Each way in which viewers show a file: a scene hidden in that way is flagged."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from counterveil.images import load
from tests.corpus import chunk, grey_tags, png_of, saved, tiff_of
from tests.hidden import SWAPPED_PRIMARIES, rgb_png, swapped_profile, wide_png
from tests.pipeline.detectors import RED, ColourDetector

WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (150, 150, 150)
SIZE = (40, 56)
DETECTOR = ColourDetector(RED)


def flat(colour: tuple[int, int, int] = GREY, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def scene(colour: tuple[int, int, int] = RED, around: tuple[int, int, int] = GREY) -> np.ndarray:
    image = flat(around)
    image[10:30, 15:40] = colour
    return image


def flagged(data: bytes, detector: ColourDetector = DETECTOR) -> dict[str, bool]:
    """Whether each view of each frame is flagged."""
    return {
        f"{frame.frame}{frame.view and ' '}{frame.view}": bool(
            detector.score(frame.pixels[None])[0] >= 0.5
        )
        for frame in load(data)
    }


def rgba(colours: np.ndarray, alpha: np.ndarray | int) -> Image.Image:
    alpha = np.broadcast_to(np.uint8(alpha), colours.shape[:2])
    return Image.fromarray(np.dstack([colours, alpha]))


def test_a_scene_that_only_shows_on_black():
    # Half transparent red: pink on white, dark red on black.
    data = saved(rgba(flat((255, 60, 60)), 150), "PNG")
    dark = ColourDetector((150, 35, 35))
    assert flagged(data, dark) == {"0": False, "0 on black": True, "0 alpha ignored": False}


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("alpha", [0, 3, 20, 250])
def test_colours_under_transparency_of_any_degree(format, alpha):
    colours = scene(RED, WHITE) if alpha < 100 else scene((218, 18, 18), WHITE)
    options = {"WEBP": {"lossless": True, "exact": True}}.get(format, {})
    got = flagged(saved(rgba(colours, alpha), format, **options))
    assert got["0 alpha ignored"]


def test_colours_under_the_transparent_entry_of_a_gif():
    image = Image.fromarray(scene(RED, WHITE)).convert("P", palette=Image.Palette.ADAPTIVE)
    red = int(np.asarray(image)[20, 20])
    got = flagged(saved(image, "GIF", transparency=red))
    assert got == {"0": False, "0 on black": False, "0 alpha ignored": True}


def test_a_palette_whose_entries_are_transparent():
    image = Image.fromarray(scene(RED, WHITE)).convert("P", palette=Image.Palette.ADAPTIVE)
    red = int(np.asarray(image)[20, 20])
    table = bytes(0 if entry == red else 128 for entry in range(256))
    for key in (red, table):
        got = flagged(saved(image, "PNG", transparency=key))
        assert not got["0"] and got["0 alpha ignored"]


def test_a_16_bit_colour_key_is_compared_at_16_bits():
    # Every pixel equals the key in its upper byte only, so no viewer takes any away.
    wide = scene().astype(np.uint16) * 256 + 1
    got = load(wide_png(wide, tuple(int(v) * 256 for v in RED)))
    assert np.array_equal(got[0].pixels, scene()) and got[0].view == ""
    assert DETECTOR.score(got[0].pixels[None])[0] > 0.5
    # Where a lower byte equals the key, too, that pixel is transparent.
    wide[10:12, 15:40] -= 1
    plain = load(wide_png(wide, tuple(int(v) * 256 for v in RED)))[0].pixels
    assert (plain[10:12, 15:40] == 255).all()
    assert np.array_equal(plain[12:], scene()[12:])


def test_a_colour_key_that_programs_compare_at_8_bits():
    # The scene is what a thumbnailer takes for opaque: at 16 bits all is nearly one red.
    wide = np.full((*SIZE, 3), 0, np.uint16) + np.array(RED, np.uint16) * 256 + 7
    wide[10:12, 15:30] += 256
    key = tuple(int(value) * 256 for value in RED)
    views = {frame.view: frame.pixels for frame in load(wide_png(wide, key))}
    laid = views["colour key compared at 8 bits, on white"]
    assert (laid[0, 0] == 255).all() and (laid[11, 20] == np.array(RED) + 1).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("extra_bits", [0, 1])
def test_a_grey_key_is_compared_at_the_files_depth(depth, extra_bits):
    top = (1 << depth) - 1
    samples = np.zeros((4, 8), np.uint8)
    samples[1] = top
    bits = np.unpackbits(samples[..., None], axis=-1)[..., 8 - depth :].reshape(4, -1)
    rows = b"".join(b"\x00" + row.tobytes() for row in np.packbits(bits, axis=1))
    for key in (0, top):
        sent = struct.pack(">H", key + (extra_bits << depth))  # bits above the depth do not count
        data = png_of((8, 4, depth, 0), zlib.compress(rows), extra=chunk(b"tRNS", sent))
        white, black, *_ = load(data)
        assert black.view == "on black"
        taken, kept = samples[:, 0] == key, samples[:, 0] != key
        assert (white.pixels[taken] == 255).all() and (black.pixels[taken] == 0).all()
        assert (white.pixels[kept] == black.pixels[kept]).all()


def test_16_bit_grey_with_a_key():
    wide = np.full(SIZE, 0x3000, np.uint16)
    wide[10:30, 15:40] = 0x3001
    views = {frame.view: frame.pixels for frame in load(wide_png(wide, (0x3000,)))}
    assert (views[""][0, 0] == 255).all() and (views[""][20, 20] == 48).all()
    assert (views["on black"][0, 0] == 0).all()
    assert (views["alpha ignored"] == 48).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("said", [0, 1, 2])
def test_the_extra_channel_of_a_tiff(said, compression):
    data = saved(rgba(flat(), 255), "TIFF", compression=compression)
    shown = rgba(scene(RED, WHITE), 0)
    data = saved(shown, "TIFF", compression=compression)
    # ExtraSamples: tag 338, SHORT, one value
    at = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    data = data[:at] + struct.pack("<H", said) + data[at + 2 :]
    got = flagged(data)
    assert any(got.values())
    assert got["0"] == (said == 0)


def test_an_extra_channel_that_pillow_drops_is_named():
    size = 4 * 4 * 5
    tags = {**grey_tags(4, 4), 258: (3, 5, 8 + size), 262: (3, 1, 5), 277: (3, 1, 5),
            279: (4, 1, size), 338: (3, 1, 0)}  # fmt: skip
    (frame,) = load(tiff_of(tags, pixels=bytes(size) + struct.pack("<5H", *[8] * 5)))
    assert frame.not_assessed == ("an extra channel of frame 0 was not assessed",)


def test_a_scene_drawn_by_an_alpha_that_a_tiff_does_not_explain():
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[10:30, 15:40] = 20
    data = saved(rgba(flat(RED), 255 - alpha), "TIFF")
    at = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    data = data[:at] + struct.pack("<H", 0) + data[at + 2 :]
    assert {"", "on white", "on black", "premultiplied alpha, on white"} == {
        frame.view for frame in load(data)
    }


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_colour_profile_that_changes_much(format):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    picture = scene((20, 20, 220))
    data = saved(picture, format, icc_profile=swapped_profile(), **options.get(format, {}))
    assert flagged(data) == {"0": False, "0 colour profile applied": True}


def test_a_common_colour_profile_gives_no_further_view():
    data = saved(scene(), "PNG", icc_profile=ImageCms.ImageCmsProfile(
        ImageCms.createProfile("sRGB")).tobytes())  # fmt: skip
    assert [frame.view for frame in load(data)] == [""]


def test_a_colour_profile_on_transparent_pixels():
    data = saved(rgba(scene((20, 20, 220)), 0), "PNG", icc_profile=swapped_profile())
    assert flagged(data)["0 alpha ignored, colour profile applied"]


def test_a_damaged_colour_profile_is_noted():
    (frame,) = load(saved(scene(), "PNG", icc_profile=b"no real profile"))
    assert "its colour profile is damaged, so viewers ignore it" in frame.notes


def test_a_gamma_that_changes_much():
    # With a gamma of 1 the stored values are linear light, and a dark red becomes a bright one.
    data = rgb_png(scene((90, 1, 1)), chunk(b"gAMA", struct.pack(">I", 100_000)))
    bright = ColourDetector((180, 13, 13))
    assert flagged(data, bright) == {"0": False, "0 gamma applied": True}
    usual = rgb_png(scene(), chunk(b"gAMA", struct.pack(">I", 45_455)))
    assert [frame.view for frame in load(usual)] == [""]


def test_primaries_that_exchange_the_colours():
    primaries = chunk(b"cHRM", struct.pack(">8I", *SWAPPED_PRIMARIES))
    extra = chunk(b"gAMA", struct.pack(">I", 45_455)) + primaries
    got = flagged(rgb_png(scene((20, 20, 220)), extra))
    assert got == {"0": False, "0 gamma applied": True}


def test_colours_beyond_srgb_are_named():
    assert not load(rgb_png(scene(), chunk(b"cICP", bytes((1, 13, 0, 1)))))[0].not_assessed
    (frame,) = load(rgb_png(scene(), chunk(b"cICP", bytes((9, 16, 0, 1)))))
    assert any("cICP 9, 16" in sentence for sentence in frame.not_assessed)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_an_orientation_that_viewers_differ_in(format):
    exif = Image.Exif()
    exif[274] = 6
    options = {"WEBP": {"lossless": True}}.get(format, {})
    if format == "TIFF":
        data = saved(scene(), "TIFF", tiffinfo={274: 6})
    else:
        data = saved(scene(), format, exif=exif, **options)
    frames = load(data)
    assert frames[0].pixels.shape == (56, 40, 3)
    if format == "JPEG":  # everybody follows it
        assert len(frames) == 1
        return
    assert [frame.view for frame in frames] == ["", "orientation ignored"]
    assert np.array_equal(frames[1].pixels, scene())


def test_an_orientation_that_only_the_xmp_of_a_jpeg_names():
    xmp = b'<x:xmpmeta xmlns:tiff="t"><a tiff:Orientation="6"/></x:xmpmeta>'
    views = {frame.view: frame.pixels.shape for frame in load(saved(scene(), "JPEG", xmp=xmp))}
    assert views == {"": (56, 40, 3), "orientation ignored": (40, 56, 3)}


@pytest.mark.parametrize("values", ["float", "int"])
def test_wide_values_are_shown_by_every_convention(values):
    # Nearly all of it lies between 0 and 255, and one pixel is far out.
    kind = np.float32 if values == "float" else np.int32
    wide = np.full(SIZE, 40, kind)
    wide[10:30, 15:40] = 200
    wide[0, 0] = 4_000_000
    views = {frame.view: frame.pixels for frame in load(saved(Image.fromarray(wide), "TIFF"))}
    assert views[""].max() == 255 and views[""][20, 20].max() == 0
    assert views["values from 0 to 255"][20, 20, 0] == 200
    assert views["values from 0 to 1"].min() == 255


def test_a_dark_16_bit_tiff_that_programs_stretch():
    wide = np.full(SIZE, 4, np.uint16)
    wide[10:30, 15:40] = 9
    views = {frame.view: frame.pixels for frame in load(saved(Image.fromarray(wide), "TIFF"))}
    assert views[""].max() == 0
    assert views["values from 4 to 9"][20, 20, 0] == 255


def test_a_cmyk_jpeg_without_adobes_marker():
    data = saved(Image.fromarray(scene()).convert("CMYK"), "JPEG")
    marker = data.index(b"\xff\xee")
    bare = data[:marker] + data[marker + 16 :]
    first, second = load(bare)
    assert (first.view, second.view) == ("", "CMYK inverted")
    assert len(load(data)) == 1


def test_opaque_pictures_have_one_view():
    for data in (
        saved(scene(), "PNG"),
        saved(rgba(scene(), 255), "PNG"),
        saved(rgba(scene(), 255), "TIFF"),
        tiff_of(grey_tags(4, 4), pixels=bytes(16)),
        saved(Image.fromarray(scene()).convert("P"), "PNG", transparency=200),
    ):
        assert [frame.view for frame in load(data)] == [""]


def test_an_animation_whose_still_picture_is_not_part_of_it():
    first, *rest = (Image.fromarray(scene()), Image.fromarray(flat()), Image.fromarray(flat(WHITE)))
    data = saved(first, "PNG", save_all=True, append_images=rest, default_image=True)
    assert list(flagged(data).values()) == [True, False, False]


def test_views_count_as_pixels():
    from counterveil.errors import ImageTooLargeError
    from counterveil.images import Limits

    data = saved(rgba(scene(), 100), "PNG")
    assert len(load(data, limits=Limits(total_pixels=3 * 2_240))) == 3
    with pytest.raises(ImageTooLargeError, match="each view counted"):
        load(data, limits=Limits(total_pixels=2 * 2_240))
