from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from counterveil.atomic import atomic_file, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole(tmp_path):
    write_atomic(tmp_path / "a.png", b"data")
    assert (tmp_path / "a.png").read_bytes() == b"data"
    assert names(tmp_path) == ["a.png"]


def test_nothing_of_a_longer_file_survives(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"secret" * 1000)
    before = path.stat().st_ino
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data"
    assert path.stat().st_ino != before


def test_a_link_is_replaced_and_its_target_unchanged(tmp_path):
    (tmp_path / "original.png").write_bytes(b"original")
    (tmp_path / "link.png").symlink_to("original.png")
    write_atomic(tmp_path / "link.png", b"data")
    assert (tmp_path / "original.png").read_bytes() == b"original"
    assert not (tmp_path / "link.png").is_symlink()


def test_the_file_has_the_users_usual_permissions(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    write_atomic(tmp_path / "ours", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")}
    assert len(modes) == 1


def test_a_failed_rename_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "folder.png", b"data")
    assert names(tmp_path) == ["folder.png"]


def test_a_missing_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "nowhere" / "a.png", b"data")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    import resource
    import signal

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError):
            write_atomic(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"old"


def test_a_streamed_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_file(path) as file:
        file.write(b"first ")
        assert not path.exists()
        file.write(b"second")
    assert path.read_bytes() == b"first second"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_while_streaming_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.txt"]
