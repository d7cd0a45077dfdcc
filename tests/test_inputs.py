from __future__ import annotations

import io
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


def test_a_glob_and_a_file_that_it_matches_give_the_file_once(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.txt")
    found = find_inputs([str(tmp_path / "a.png"), str(tmp_path / "*.png")])
    assert [item.path.name for item in found.inputs] == ["a.png", "b.png"]


def names(*paths, **options):
    return [item.name for item in find_inputs([str(path) for path in paths], **options).inputs]


def skipped(*paths, **options):
    found = find_inputs([str(path) for path in paths], **options)
    return {file.name: file.reason for file in found.skipped}


SYSTEM, TEXT = "a file of the operating system", "a text file"
NO_PICTURES = {
    ".DS_Store": (b"\0\0\0\1Bud1\0", SYSTEM),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", SYSTEM),
    "Desktop.ini": ("[.ShellClassInfo]\r\n".encode("utf-16"), SYSTEM),
    "._x.jpg": (b"\0\5\x16\7\0\2\0\0", SYSTEM),
    "notes.txt": (b"BMW, MZ and ID3: a note", TEXT),
    "data.json": (b'{"a": 1}', TEXT),
    "latin.csv": ("Stra\xdfe;1".encode("latin-1"), TEXT),
    "wide.txt": ("note".encode("utf-16"), TEXT),
    "page.html": (b"<!DOCTYPE html><p>x", TEXT),
    ".gitkeep": (b"", "an empty file"),
}
PICTURES = {
    "empty.png": b"",
    "text.jpg": b"a text with the suffix of an image",
    "text.svg": b"text",
    "._y.jpg": b"\xff\xd8\xff\xe0",
    ".hidden.jpg": b"\xff\xd8\xff\xe0",
    "thumbs.db": b"\xff\xd8\xff\xe0",
    "desktop.ini": b"GIF89a",
    "noext": b"\x89PNG\r\n\x1a\n",
    "gif.txt": b"GIF89a!!!!A  text only",
    "late.txt": b"text before it\n%PDF-1.7",
    "drawing.xml": b'<?xml version="1.0"?><svg xmlns="x"/>',
    "drawing16.xml": '<svg xmlns="x"/>'.encode("utf-16"),
    "icon.c": b"/* XPM */ static char *x[] = {};",
    "photo.heic": b"\0\0\0\x18ftypheic",
    "film": b"\0\0\0\x18ftypisom",
    "film.mkv": b"\x1a\x45\xdf\xa3",
    "art.psd": b"8BPS",
    "unknown.bin": b"\0\1\2\3",
}


@pytest.mark.parametrize("kind", ["folder", "glob"])
def test_text_and_system_files_are_skipped_and_counted(tmp_path, kind):
    for name, (data, _) in NO_PICTURES.items():
        (tmp_path / name).write_bytes(data)
    touch(tmp_path, "a.png")
    seen = {n: r for n, (_, r) in NO_PICTURES.items() if kind == "folder" or n[0] != "."}
    asked = tmp_path if kind == "folder" else tmp_path / "*"
    assert skipped(asked) == seen
    assert names(asked) == ["a.png"]


@pytest.mark.parametrize("name", PICTURES)
def test_what_a_viewer_may_show_is_never_skipped(tmp_path, name):
    (tmp_path / name).write_bytes(PICTURES[name])
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_named_itself_is_not_skipped(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(NO_PICTURES[name][0])
    (tmp_path / "list").write_bytes(os.fsencode(path))
    assert names(path) == [name]
    assert names(tmp_path, path) == [name]
    assert skipped(tmp_path / "*", path) == {"list": TEXT}
    assert names(files_from=str(tmp_path / "list")) == [name]


def test_skipping_waits_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["pipe"]


def test_where_everything_is_skipped_the_reasons_are_said(tmp_path):
    for name, (data, _) in NO_PICTURES.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(
        UsageError, match=r"10 skipped: .*an empty file \(1\), a text file \(5\); name"
    ):
        find_inputs([str(tmp_path)])


def run_folder(tmp_path):
    """A folder with inputs in which a run wrote the results of ``a.png``."""
    plan = '{"name": "a.png", "output_name": "a"}\n{"name": "b'
    touch(tmp_path, "a.png", "a.veiled.png", "a.mask.png", "a.json", "records.jsonl", "run.json")
    touch(tmp_path, "report.html", "report/1.png", ".counterveil-0f.tmp")
    (tmp_path / "plan.jsonl").write_text(plan)
    return tmp_path


def test_a_results_folder_below_the_inputs_is_left_out(tmp_path):
    touch(tmp_path, "a.png", "out/b.png", "out/c/d.png")
    assert names(tmp_path, exclude=tmp_path / "out") == ["a.png"]
    assert names(tmp_path / "**" / "*.png", exclude=tmp_path / "out") == ["a.png"]
    assert names(tmp_path / "*", exclude=tmp_path / "out") == ["a.png"]
    assert skipped(tmp_path, exclude=tmp_path / "out") == {}


@pytest.mark.parametrize("asked", ["", "*"])
def test_results_beside_the_inputs_are_skipped(tmp_path, asked):
    out = run_folder(tmp_path)
    touch(out, "b.png", "b.veiled.png", "report.png", "sub/report/2.png", ".counterveil.png")
    expected = ["b.png", "b.veiled.png", "report.png", "sub/report/2.png", "a.png"]
    found = names(out / asked, exclude=out)
    assert set(found) == {*expected, *([] if asked else [".counterveil.png"])}
    assert set(skipped(out / asked, exclude=out).values()) == {
        "a result of an earlier run of Counterveil"
    }


def test_inputs_below_the_results_folder_are_examined(tmp_path):
    touch(run_folder(tmp_path), "photos/a.png", "photos/report/b.png")
    assert names(tmp_path / "photos", exclude=tmp_path) == ["a.png", "report/b.png"]
    assert names(tmp_path / "photos", exclude=tmp_path / ".") == ["a.png", "report/b.png"]


def test_an_input_named_in_the_results_folder_is_examined_and_a_result_is_skipped(tmp_path):
    out = run_folder(tmp_path)
    (tmp_path / "list").write_text(f"{out}/a.png\n{out}/a.veiled.png\n")
    assert names(out / "a.png", exclude=out) == ["a.png"]
    for name in ("a.veiled.png", "a.json", "records.jsonl", "report/1.png"):
        with pytest.raises(UsageError, match="a result of an earlier run of Counterveil"):
            find_inputs([str(out / name)], exclude=out)
    assert names(files_from=str(tmp_path / "list"), exclude=out) == ["a.png"]


def test_files_that_share_a_stem_get_outputs_of_their_own(tmp_path):
    touch(tmp_path, "a/x.png", "b/X.jpg", "y.png")
    stems = [item.output_name for item in find_inputs([str(tmp_path)]).inputs]
    assert len({stem.casefold() for stem in stems}) == 3
    assert stems[2] == "y"
    assert stems == [item.output_name for item in find_inputs([str(tmp_path)]).inputs]


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        find_inputs([str(tmp_path / "nothing*.png")])


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(UsageError, match="no file found"):
        find_inputs([str(tmp_path)])


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode there")
def test_names_that_are_not_utf_8_may_meet(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"a/\xff.png", b"b/\xff.png", b"\xe4" * 250):
        path = Path(os.fsdecode(folder + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff")
    found = find_inputs([str(tmp_path)]).inputs
    assert len({item.output_name for item in found}) == 3
    for item in found:
        (tmp_path / f"{item.output_name}.veiled.png").write_bytes(b"")


def test_a_glob_keeps_the_folders_after_its_fixed_part(tmp_path):
    touch(tmp_path, "in/a/0.png", "in/b/0.png", "in/c/d/0.png", "in/.h/0.png", "in/a/.h.png")
    assert names(tmp_path / "in/*/*.png") == ["a/0.png", "b/0.png"]
    assert names(tmp_path / "in/**/0.png") == ["a/0.png", "b/0.png", "c/d/0.png"]
    assert names(tmp_path / "in/**") == names(tmp_path / "in")
    assert names(tmp_path / "in/.h/*.png") == ["0.png"]
    assert names(tmp_path / "in/a/.*") == [".h.png"]
    assert names(tmp_path / "i[mn]/[!b]") == ["in/a/.h.png", "in/a/0.png", "in/c/d/0.png"]


def test_a_glob_follows_no_link_to_a_folder_and_passes_none_over(tmp_path):
    touch(tmp_path, "in/a/x.png", "elsewhere/x.png")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    for name in ("round", "loop"):  # followed, they would multiply without end
        (tmp_path / "in/a" / name).symlink_to(tmp_path / "in")
    (tmp_path / "in/self").symlink_to("self")
    assert names(tmp_path / "in/*/x.png") == ["a/x.png", "linked"]
    assert names(tmp_path / "in/**/x.png") == ["a/x.png", "a/loop", "a/round", "linked"]
    assert names(tmp_path / "in/*") == [
        "a/loop", "a/round", "a/x.png", "linked", "self",
    ]  # fmt: skip
    assert names(tmp_path / "in/linked/*") == ["x.png"]  # it was named itself


def test_equal_names_are_told_apart_by_their_folders(tmp_path):
    touch(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    both = [tmp_path / "a" / "0.png", tmp_path / "b" / "0.png"]
    assert names(*both) == ["a/0.png", "b/0.png"]
    assert names(tmp_path / "a", tmp_path / "b") == ["a/0.png", "b/0.png", "b/1.png"]
    assert names(tmp_path / "a", tmp_path / "b" / "1.png") == ["0.png", "1.png"]


def test_a_file_that_two_paths_name_counts_once(tmp_path):
    touch(tmp_path, "a/0.png")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    paths = [tmp_path / "a" / "0.png", tmp_path / "linked" / "0.png", tmp_path / "a/../a"]
    assert names(*paths) == ["0.png"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_files_folders_and_globs(tmp_path, monkeypatch, end):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", "b/c.png", "d/e.png", "d/f.txt", "# g.png")
    lines = [b"a.png", b"", b"b", b"d/*.png", b"missing.png", b"# g.png", b"\xff.png"]
    (tmp_path / "list").write_bytes(end.join(lines))
    found = names(files_from="list")
    assert found[:5] == ["a.png", "c.png", "e.png", "missing.png", "# g.png"]
    assert os.fsencode(found[5]) == b"\xff.png"
    with pytest.raises(ImageBrokenError, match="No such file"):
        load(find_inputs([], files_from="list").inputs[3].path)


def test_nul_ends_names_with_line_breaks(tmp_path):
    touch(tmp_path, "a\nb.png")
    (tmp_path / "list").write_bytes(os.fsencode(tmp_path / "a\nb.png") + b"\0")
    assert names(files_from=str(tmp_path / "list")) == ["a\nb.png"]


def test_a_list_may_come_from_standard_input(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "b.png")
    data = io.TextIOWrapper(io.BytesIO(os.fsencode(tmp_path / "b.png")))
    monkeypatch.setattr("sys.stdin", data)
    assert names(tmp_path / "a.png", files_from="-") == ["a.png", "b.png"]


def test_a_list_that_cannot_be_read_or_is_empty_is_said(tmp_path):
    touch(tmp_path, "list")
    with pytest.raises(UsageError, match="the list of paths cannot be read"):
        find_inputs([], files_from=str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="no file found in the list"):
        find_inputs([], files_from=str(tmp_path / "list"))
    with pytest.raises(UsageError, match="name files, folders or globs"):
        find_inputs([])


def test_links_that_lead_nowhere_are_inputs_and_do_not_end_the_search(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nothing.png")
    found = find_inputs([str(tmp_path)], exclude=tmp_path / "out")
    assert [item.name for item in found.inputs] == ["a.png", "gone.png", "loop.png"]
    assert find_inputs([str(tmp_path / "loop.png")], exclude=tmp_path / "out").inputs


def test_a_linked_folder_is_not_followed_and_not_passed_over(tmp_path):
    touch(tmp_path, "in/a.png", "elsewhere/b.png", "in/out/a.veiled.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "results").symlink_to(tmp_path / "in" / "out")
    found = find_inputs([str(tmp_path / "in")], exclude=tmp_path / "in" / "out")
    assert [item.name for item in found.inputs] == ["a.png", "linked", "round"]
    with pytest.raises(ImageBrokenError, match=r"^linked: a link to a folder.*name the folder"):
        load(found.inputs[1].path)
    named = find_inputs([str(tmp_path / "in" / "linked")])
    assert [item.name for item in named.inputs] == ["b.png"]


def test_a_folder_that_cannot_be_read_is_an_input(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "closed/b.png")
    walk = os.walk

    def refused(top, onerror=None, **options):
        for where, folders, files in walk(top, onerror=onerror, **options):
            if Path(where).name == "closed":
                onerror(PermissionError(13, "Permission denied", where))
            else:
                yield where, folders, files

    monkeypatch.setattr("counterveil.inputs.search.os.walk", refused)
    assert [item.name for item in find_inputs([str(tmp_path)]).inputs] == ["a.png", "closed"]


def test_a_name_that_leaves_no_room_for_an_ending_is_cut_and_told_apart(tmp_path):
    touch(tmp_path, "ä" * 125 + ".png", "ä" * 125 + ".jpg", "x" * 251 + ".png")
    stems = [item.output_name for item in find_inputs([str(tmp_path)]).inputs]
    assert len(set(stems)) == 3
    for stem in stems:
        (tmp_path / f"{stem}.veiled.png").write_bytes(b"")
    assert stems[0].startswith("xxx")


def test_a_path_too_long_for_the_system_is_said(tmp_path):
    with pytest.raises(UsageError, match="check the path"):
        find_inputs(["x" * 5000])
