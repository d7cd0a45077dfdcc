from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterveil.errors import ImageBrokenError, UsageError
from counterveil.images import load
from counterveil.inputs import find_inputs


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_gives_every_file_below_it_whatever_its_extension(tmp_path):
    touch(tmp_path, "a.png", "b/c.jpg", "notes.txt", "noext")
    assert [item.name for item in find_inputs([str(tmp_path)])] == [
        "a.png",
        "b/c.jpg",
        "noext",
        "notes.txt",
    ]


def test_a_glob_and_a_file_that_it_matches_give_the_file_once(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.txt")
    found = find_inputs([str(tmp_path / "a.png"), str(tmp_path / "*.png")])
    assert [item.path.name for item in found] == ["a.png", "b.png"]


def test_results_are_not_inputs(tmp_path):
    touch(tmp_path, "a.png", "out/a.veiled.png")
    assert [item.name for item in find_inputs([str(tmp_path)], exclude=tmp_path / "out")] == [
        "a.png"
    ]


def test_files_that_share_a_stem_get_outputs_of_their_own(tmp_path):
    touch(tmp_path, "a/x.png", "b/X.jpg", "y.png")
    stems = [item.output_name for item in find_inputs([str(tmp_path)])]
    assert len({stem.casefold() for stem in stems}) == 3
    assert stems[2] == "y"
    assert stems == [item.output_name for item in find_inputs([str(tmp_path)])]


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        find_inputs([str(tmp_path / "nothing*.png")])


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(UsageError, match="no file found"):
        find_inputs([str(tmp_path)])


def test_links_that_lead_nowhere_are_inputs_and_do_not_end_the_search(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nothing.png")
    found = find_inputs([str(tmp_path)], exclude=tmp_path / "out")
    assert [item.name for item in found] == ["a.png", "gone.png", "loop.png"]
    assert find_inputs([str(tmp_path / "loop.png")], exclude=tmp_path / "out")


def test_a_linked_folder_is_not_followed_and_not_passed_over(tmp_path):
    touch(tmp_path, "in/a.png", "elsewhere/b.png", "in/out/a.veiled.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "results").symlink_to(tmp_path / "in" / "out")
    found = find_inputs([str(tmp_path / "in")], exclude=tmp_path / "in" / "out")
    assert [item.name for item in found] == ["a.png", "linked", "round"]
    with pytest.raises(ImageBrokenError, match=r"^linked: a link to a folder.*name the folder"):
        load(found[1].path)
    named = find_inputs([str(tmp_path / "in" / "linked")])
    assert [item.name for item in named] == ["b.png"]


def test_a_folder_that_cannot_be_read_is_an_input(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "closed/b.png")
    walk = os.walk

    def refused(top, onerror=None, **options):
        for where, folders, files in walk(top, onerror=onerror, **options):
            if Path(where).name == "closed":
                onerror(PermissionError(13, "Permission denied", where))
            else:
                yield where, folders, files

    monkeypatch.setattr("counterveil.inputs.os.walk", refused)
    assert [item.name for item in find_inputs([str(tmp_path)])] == ["a.png", "closed"]


def test_a_name_that_leaves_no_room_for_an_ending_is_cut_and_told_apart(tmp_path):
    touch(tmp_path, "ä" * 125 + ".png", "ä" * 125 + ".jpg", "x" * 251 + ".png")
    stems = [item.output_name for item in find_inputs([str(tmp_path)])]
    assert len(set(stems)) == 3
    for stem in stems:
        (tmp_path / f"{stem}.veiled.png").write_bytes(b"")
    assert stems[0].startswith("xxx")


def test_a_path_too_long_for_the_system_is_said(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        find_inputs(["x" * 5000])
