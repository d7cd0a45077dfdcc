"""A JPEG scan over all pixels takes 100 bytes of file: scans are counted before decoding."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from counterveil.errors import ImageTooLargeError
from counterveil.images import Limits, load
from tests.corpus import many_scans, picture, saved, with_scans


def test_a_normal_progressive_jpeg_passes():
    (frame,) = load(saved(picture(), "JPEG", progressive=True))
    assert frame.pixels.shape == (40, 56, 3)


def test_too_many_scans_are_refused():
    with pytest.raises(ImageTooLargeError, match=r"201 scans: over .*limits\.scans"):
        load(many_scans(500))


def test_the_limit_can_be_raised():
    (frame,) = load(many_scans(500), limits=Limits(scans=1000))
    assert (frame.pixels == load(many_scans(0))[0].pixels).all()


def test_scans_of_a_large_picture_count_for_more():
    limits = Limits(scan_pixels=20 * 40 * 56)
    assert load(many_scans(2), limits=limits)
    with pytest.raises(ImageTooLargeError, match=r"21 scans of 56 x 40 .*limits\.scan_pixels"):
        load(many_scans(50), limits=limits)


def test_every_picture_of_a_file_is_counted_before_it_is_decoded(monkeypatch):
    buffer = io.BytesIO()
    first, second = Image.fromarray(picture()), Image.fromarray(picture(seed=1))
    first.save(buffer, "MPO", save_all=True, append_images=[second], progressive=True)
    decoded = []
    run = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (decoded.append(self), run(self))[1])
    with pytest.raises(ImageTooLargeError, match=r"limits\.scans"):
        load(buffer.getvalue(), limits=Limits(scans=1))
    assert not decoded
    data = buffer.getvalue()
    bomb = with_scans(data, data.rindex(b"\xff\xc2"), 300)
    with pytest.raises(ImageTooLargeError, match="frame 1 of 0 to 1: 201 scans"):
        load(bomb)


def test_a_scan_bomb_of_a_large_picture_is_refused_before_a_pixel_is_decoded(monkeypatch):
    data = bytearray(many_scans(60))
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = (8000).to_bytes(2, "big") * 2
    monkeypatch.setattr(
        Image.Image, "load", lambda self: pytest.fail("it was decoded before it was refused")
    )
    with pytest.raises(ImageTooLargeError, match=r"19 scans of 8000 x 8000 .*limits\.scan_pixels"):
        load(bytes(data))
