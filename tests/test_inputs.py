from __future__ import annotations

import pytest

from counterveil.errors import UsageError
from counterveil.inputs import find


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_gives_every_file_below_it_whatever_its_extension(tmp_path):
    touch(tmp_path, "a.png", "b/c.jpg", "notes.txt", "noext")
    assert [item.name for item in find([str(tmp_path)])] == [
        "a.png",
        "b/c.jpg",
        "noext",
        "notes.txt",
    ]


def test_a_glob_and_a_file_that_it_matches_give_the_file_once(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.txt")
    found = find([str(tmp_path / "a.png"), str(tmp_path / "*.png")])
    assert [item.path.name for item in found] == ["a.png", "b.png"]


def test_results_are_not_inputs(tmp_path):
    touch(tmp_path, "a.png", "out/a.veiled.png")
    assert [item.name for item in find([str(tmp_path)], leave_out=tmp_path / "out")] == ["a.png"]


def test_files_that_share_a_stem_get_outputs_of_their_own(tmp_path):
    touch(tmp_path, "a/x.png", "b/X.jpg", "y.png")
    stems = [item.stem for item in find([str(tmp_path)])]
    assert len({stem.casefold() for stem in stems}) == 3
    assert stems[2] == "y"
    assert stems == [item.stem for item in find([str(tmp_path)])]


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        find([str(tmp_path / "nothing*.png")])


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(UsageError, match="no file found"):
        find([str(tmp_path)])
