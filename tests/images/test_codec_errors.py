from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from counterveil.errors import ImageBrokenError, ImageError, ImageTooLargeError, UsageError
from counterveil.images import Limits, load
from counterveil.images.codec_errors import (
    CODEC_ERRORS,
    collect_warnings,
    translate_codec_errors,
)
from tests.corpus import broken_files, grey_tags, picture, saved, tiff_of


@pytest.mark.parametrize(
    ("source", "target", "_"), CODEC_ERRORS, ids=lambda x: getattr(x, "__name__", "")
)
def test_every_codec_exception_is_translated_with_its_cause(source, target, _):
    raised = source("some detail")
    with (
        pytest.raises(target, match=r"^photo\.png: ") as caught,
        translate_codec_errors("photo.png"),
    ):
        raise raised
    assert caught.value.__cause__ is raised
    assert type(caught.value) is target


def test_no_entry_of_the_table_follows_a_broader_one():
    for position, (source, _, _) in enumerate(CODEC_ERRORS):
        assert not any(issubclass(source, earlier) for earlier, _, _ in CODEC_ERRORS[:position])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_no_file_causes_passes(error):
    with pytest.raises(error), translate_codec_errors("photo.png"):
        raise error


def test_an_image_error_keeps_its_class_and_gains_the_name():
    message = r"^a\.gif: frame 3: too wide$"
    with (
        pytest.raises(ImageTooLargeError, match=message),
        translate_codec_errors("a.gif"),
        translate_codec_errors("frame 3"),
    ):
        raise ImageTooLargeError("too wide")


def test_a_message_holds_no_control_characters():
    with pytest.raises(ImageError) as caught:
        load(b"", name="evil\x1b[2J\n.png")
    assert str(caught.value).isprintable()


def test_warnings_are_collected_and_the_filters_restored():
    before = list(warnings.filters)
    with collect_warnings() as messages:
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        warnings.warn("bomb", Pillow.DecompressionBombWarning, stacklevel=1)
    assert messages == ["Corrupt EXIF data"]
    assert list(warnings.filters) == before


def test_pillows_settings_stay_as_they_are():
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Pillow.MAX_IMAGE_PIXELS, list(warnings.filters))
    load(saved(picture(), "PNG"))
    for data in broken_files().values():
        with pytest.raises(ImageError):
            load(data)
    after = (ImageFile.LOAD_TRUNCATED_IMAGES, Pillow.MAX_IMAGE_PIXELS, list(warnings.filters))
    assert after == before
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_pillows_bomb_warning_is_left_out(monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 2_000)  # 2,240 pixels: warned of, not refused
    (frame,) = load(saved(picture(), "PNG"))
    assert frame.notes == ()


def test_pillows_own_limit_becomes_an_image_error(monkeypatch):
    data = saved(picture(), "TIFF")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 1_000)
    with pytest.raises(ImageTooLargeError, match="MAX_IMAGE_PIXELS"):
        load(data)


def test_threads_do_not_disturb_each_others_warnings():
    before = list(warnings.filters)
    data, failures = saved(picture(), "JPEG"), []

    def work() -> None:
        try:
            for _ in range(10):
                load(data)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


@pytest.mark.parametrize("field", ["bytes", "pixels", "frames", "frames_held", "total_pixels"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_a_limit_is_a_positive_whole_number(field, value):
    with pytest.raises(UsageError, match=f"limits.{field}"):
        Limits(**{field: value})


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(bytes=100), "limits.bytes"),
        (Limits(pixels=2_239), "limits.pixels"),
        (Limits(total_pixels=2_239), "limits.total_pixels"),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_each_limit_is_enforced_and_named(limits, name, format):
    with pytest.raises(ImageTooLargeError, match=name):
        load(saved(picture(), format), limits=limits)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_exactly_at_its_limits_is_read(format):
    data = saved(picture(), format)
    limits = Limits(bytes=len(data), pixels=2_240, total_pixels=2_240, frames=1, frames_held=1)
    assert load(data, limits=limits)[0].pixels.shape == (40, 56, 3)


def test_damaged_exif_gives_a_note_and_the_pixels_are_read():
    data = saved(picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x01")
    (frame,) = load(data)
    assert any("remarked" in note for note in frame.notes)
    with pytest.raises(ImageBrokenError):
        load(data[:-2])


NOISY = """
import warnings
from PIL import Image
from counterveil.errors import ImageError
from counterveil.images import load
from tests.corpus import broken_files, grey_tags, picture, saved, tiff_of
files = [tiff_of({**grey_tags(4, 4), 277: (3, 1, 99), 258: (3, 1, 8)}, pixels=bytes(16))]
for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
    whole = saved(picture(), "TIFF", compression=compression)
    files += [whole[:60] + bytes(40) + whole[100:], whole[:9] + b"\\xff" * 30 + whole[39:]]
for data in (*files, *broken_files().values()):
    try:
        load(data)
    except ImageError:
        pass
    else:
        print("read")
"""


def test_no_library_prints_anything():
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", NOISY], cwd=root, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ran.stderr == ""
    # Pillow and libtiff do print for these files.
    bare = NOISY.replace("load(data)", "Image.open(__import__('io').BytesIO(data)).load()")
    ran = subprocess.run(
        [sys.executable, "-c", bare.replace("except ImageError", "except Exception")],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "More samples per pixel" in ran.stderr and "Decode" in ran.stderr


def test_what_pillow_logs_becomes_a_note():
    handlers = list(logging.getLogger("PIL").handlers)
    with collect_warnings() as messages:
        logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel: %s", 99)
        logging.getLogger("PIL.TiffImagePlugin").debug("a detail")
    assert messages == ["More samples per pixel: 99"]
    assert logging.getLogger("PIL").handlers == handlers


def _jpeg(marker: int, bits: int) -> bytes:
    data = bytearray(saved(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


def _second_page(tags: dict[int, tuple[int, int, int]]) -> bytes:
    first = tiff_of(grey_tags(4, 4), pixels=bytes(16), following=138)
    return first + tiff_of(tags, pixels=b"")[8:]


UNSUPPORTED = {
    "12-bit JPEG": (_jpeg(0xC1, 12), "a JPEG of 12 bits a channel is not supported"),
    "lossless JPEG": (_jpeg(0xC3, 8), "a lossless JPEG is not supported"),
    "hierarchical JPEG": (_jpeg(0xC5, 8), "a hierarchical JPEG is not supported"),
    "TIFF compression": (
        tiff_of({**grey_tags(4, 4), 259: (3, 1, 34661)}, pixels=bytes(16)),
        "compression 34661, photometric 1, channels 1, bits 8. is not supported",
    ),
    "TIFF colours": (
        tiff_of({**grey_tags(4, 4), 262: (3, 1, 32803)}, pixels=bytes(16)),
        "photometric 32803, .* is not supported",
    ),
    "TIFF colours of a later page": (
        _second_page({**grey_tags(4, 4), 262: (3, 1, 32803)}),
        "frame 1 of 0 to 1: .* photometric 32803, .* is not supported",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_not_called_broken(name):
    data, message = UNSUPPORTED[name]
    with pytest.raises(ImageBrokenError, match=message) as caught:
        load(data)
    assert "intact" not in str(caught.value)
    assert "convert it to PNG" in str(caught.value)
