"""A folder of results: whole, and telling what could not be written."""

from __future__ import annotations

import errno
import json

import pytest

from counterveil.errors import UsageError
from counterveil.images import encode_png
from counterveil.outputs import ResultFolder
from counterveil.pipeline import examination
from tests.pipeline.detectors import RED, ColourDetector, make_pipeline, scored, square


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(scored("red", ColourDetector(RED)), segmentation="slic", search="greedy")


@pytest.fixture(scope="module")
def veiled(pipeline):
    return pipeline.examine(encode_png(square()), name="a.png", output_name="a")


@pytest.fixture(scope="module")
def other(pipeline):
    return pipeline.examine(encode_png(square()), name="b.png", output_name="b")


@pytest.fixture(scope="module")
def broken(pipeline):
    return pipeline.examine(b"no image", name="a.png", output_name="a")


def lines(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def full_for(monkeypatch, ending):
    write = examination.write_atomic

    def fails(path, data):
        if path.name.endswith(ending):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(examination, "write_atomic", fails)


@pytest.mark.parametrize("ending", ["a.veiled.png", "a.mask.png"])
def test_what_cannot_be_written_is_that_image_s_error_and_the_run_goes_on(
    tmp_path, monkeypatch, veiled, other, ending
):
    full_for(monkeypatch, ending)
    with ResultFolder(tmp_path) as folder:
        record = folder.add(veiled)
        folder.add(other)
    assert record.status == "error"
    assert "could not be written (No space left on device)" in record.error
    assert [line["status"] for line in lines(tmp_path)] == ["error", "ok"]
    assert json.loads((tmp_path / "a.json").read_text()) == lines(tmp_path)[0]
    assert (folder.done, folder.failed) == (2, 1)
    assert "a.veiled.png" not in names(tmp_path) and "a.mask.png" not in names(tmp_path)


def test_a_line_is_written_even_where_nothing_else_can_be(tmp_path, monkeypatch, veiled):
    full_for(monkeypatch, "")
    with ResultFolder(tmp_path) as folder:
        folder.add(veiled)
    assert [line["status"] for line in lines(tmp_path)] == ["error"]
    assert names(tmp_path) == ["records.jsonl", "report.html"]


def test_what_an_earlier_run_released_does_not_outlive_an_error(tmp_path, veiled, broken):
    with ResultFolder(tmp_path) as folder:
        folder.add(veiled)
    assert "a.veiled.png" in names(tmp_path)
    with ResultFolder(tmp_path) as folder:
        folder.add(broken)
    assert names(tmp_path) == ["a.json", "records.jsonl", "report.html"]


def test_a_file_in_the_folder_s_place_is_the_caller_s_mistake(tmp_path):
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(UsageError, match="no results can be written there"):
            ResultFolder(path).__enter__()
    assert (tmp_path / "out").read_text() == "mine"


def test_a_picture_over_the_usual_limit_is_reported_too(tmp_path, monkeypatch, veiled):
    """Limits are for strangers' files; the report's pictures are made of what was written."""
    from counterveil.images import Limits, load

    small = Limits(bytes=10, pixels=10)
    monkeypatch.setitem(load.__kwdefaults__, "limits", small)
    with ResultFolder(tmp_path) as folder:
        folder.add(veiled)
    assert "Mask" in (tmp_path / "report.html").read_text()
