from __future__ import annotations

import threading
import warnings

import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from counterveil.errors import ImageBrokenError, ImageError, ImageTooLargeError, UsageError
from counterveil.images import Limits, load
from counterveil.images.codec_errors import FOREIGN, quiet, translated
from tests.corpus import broken_files, picture, saved


@pytest.mark.parametrize(
    ("foreign", "ours", "_"), FOREIGN, ids=lambda x: getattr(x, "__name__", "")
)
def test_every_foreign_exception_becomes_ours_with_its_cause(foreign, ours, _):
    thrown = foreign("some detail")
    with pytest.raises(ours, match=r"^photo\.png: ") as caught, translated("photo.png"):
        raise thrown
    assert caught.value.__cause__ is thrown
    assert type(caught.value) is ours


def test_no_entry_of_the_table_hides_behind_a_broader_one():
    for position, (foreign, _, _) in enumerate(FOREIGN):
        assert not any(issubclass(foreign, earlier) for earlier, _, _ in FOREIGN[:position])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_not_the_files_fault_passes(error):
    with pytest.raises(error), translated("photo.png"):
        raise error


def test_our_own_errors_keep_their_kind_and_gain_the_name():
    message = r"^a\.gif: frame 3: too wide$"
    with (
        pytest.raises(ImageTooLargeError, match=message),
        translated("a.gif"),
        translated("frame 3"),
    ):
        raise ImageTooLargeError("too wide")


def test_nothing_in_a_message_steers_a_terminal():
    with pytest.raises(ImageError) as caught:
        load(b"", name="evil\x1b[2J\n.png")
    assert str(caught.value).isprintable()


def test_warnings_are_collected_and_the_filters_go_back():
    before = list(warnings.filters)
    with quiet() as said:
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        warnings.warn("bomb", Pillow.DecompressionBombWarning, stacklevel=1)
    assert said == ["Corrupt EXIF data"]
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


def test_pillows_own_warning_of_a_bomb_neither_shows_nor_refuses(monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 2_000)  # 2,240 pixels: warned of, not refused
    (photo,) = load(saved(picture(), "PNG"))
    assert photo.notes == ()


def test_pillows_own_limit_is_ours_to_report(monkeypatch):
    data = saved(picture(), "BMP")
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
def test_each_limit_is_kept_and_named(limits, name, format):
    with pytest.raises(ImageTooLargeError, match=name):
        load(saved(picture(), format), limits=limits)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_exactly_at_its_limits_is_read(format):
    data = saved(picture(), format)
    limits = Limits(bytes=len(data), pixels=2_240, total_pixels=2_240, frames=1, frames_held=1)
    assert load(data, limits=limits)[0].pixels.shape == (40, 56, 3)


def test_a_note_says_where_the_exif_is_damaged_and_the_pixels_are_read():
    data = saved(picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x01")
    (photo,) = load(data)
    assert any("remarked" in note for note in photo.notes)
    with pytest.raises(ImageBrokenError):
        load(data[:-2])
