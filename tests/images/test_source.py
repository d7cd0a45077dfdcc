from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from counterveil.errors import ImageBrokenError, ImageTooLargeError
from counterveil.images import Limits, load
from tests.corpus import picture, saved

PNG = saved(picture(), "PNG")


def test_a_path_and_its_bytes_give_the_same_photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    (from_path,), (from_bytes,) = load(path), load(PNG)
    assert (from_path.pixels == from_bytes.pixels).all()
    assert from_path.sha256 == from_bytes.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (from_path.name, from_bytes.name) == ("photo.png", "image")
    assert load(path, name="other")[0].name == "other"


def test_the_hash_is_of_the_whole_file_and_trailing_bytes_are_noted():
    (frame,) = load(PNG + b"secret")
    assert frame.sha256 == hashlib.sha256(PNG + b"secret").hexdigest()
    assert any("6 bytes behind" in note for note in frame.notes)


def test_pixels_can_be_written_to():
    assert load(PNG)[0].pixels.flags.writeable


def test_a_missing_file(tmp_path):
    with pytest.raises(
        ImageBrokenError, match=r"^nothing\.png: .*cannot be opened.*check the path"
    ):
        load(tmp_path / "nothing.png")


def test_a_folder(tmp_path):
    with pytest.raises(ImageBrokenError, match="a folder, not a file"):
        load(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageBrokenError, match="a pipe, not a file"):
        load(tmp_path / "pipe.png")


def test_a_device_without_end():
    with pytest.raises(ImageBrokenError, match="a device, not a file"):
        load(Path("/dev/zero"))


def test_a_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.png")
        with pytest.raises(ImageBrokenError, match="cannot be opened"):
            load(Path("s.png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file(tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "photo.png").chmod(0)
    with pytest.raises(ImageBrokenError, match="permissions"):
        load(tmp_path / "photo.png")


def test_a_link_is_followed_and_a_link_to_itself_is_not(tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "link.png").symlink_to("photo.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert load(tmp_path / "link.png")[0].height == 40
    with pytest.raises(ImageBrokenError, match="cannot be opened"):
        load(tmp_path / "loop.png")


def test_a_file_over_the_limit_is_not_read(tmp_path):
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    with pytest.raises(ImageTooLargeError, match=rf"{1 << 40} bytes.*limits\.bytes"):
        load(path)


def test_a_name_with_a_zero_byte():
    with pytest.raises(ImageBrokenError):
        load(Path("a\0b.png"))


@pytest.mark.parametrize("fits", [True, False])
def test_the_limit_of_bytes_holds_for_paths_too(tmp_path, fits):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    limits = Limits(bytes=len(PNG) if fits else len(PNG) - 1)
    if fits:
        assert load(path, limits=limits)
    else:
        with pytest.raises(ImageTooLargeError):
            load(path, limits=limits)


@pytest.mark.parametrize(
    ("name", "noted"), [("a.png", True), ("a.jpg", False), ("a.JPEG", False), ("a", False)]
)
def test_a_file_that_lies_about_its_format_is_read_by_its_bytes(name, noted):
    (frame,) = load(saved(picture(), "JPEG"), name=name)
    assert frame.format == "JPEG"
    assert any("named .png but holds JPEG" in note for note in frame.notes) == noted
