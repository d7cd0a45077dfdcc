"""A folder of results: whole, resumed, and never a mixture of two runs."""

from __future__ import annotations

import errno
import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from counterveil.config import Config
from counterveil.errors import MachineError, UsageError
from counterveil.images import encode_png
from counterveil.inputs import Input
from counterveil.outputs import ResultFolder, save
from counterveil.outputs.plan import make_plan
from counterveil.outputs.records import RecordFile, read_records
from counterveil.pipeline import examination
from tests.pipeline.detectors import RED, ColourDetector, make_pipeline, scored, square


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(scored("red", ColourDetector(RED)), segmentation="slic")


@pytest.fixture
def files(tmp_path):
    """Three inputs: veiled, clean and broken."""
    (tmp_path / "in").mkdir()
    data = {"a": encode_png(square()), "b": encode_png(square((20, 20, 220))), "c": b"no image"}
    for name, content in data.items():
        (tmp_path / "in" / f"{name}.png").write_bytes(content)
    return [Input(tmp_path / "in" / f"{name}.png", f"{name}.png", name) for name in data]


@contextmanager
def opened(out, files, *, config=Config(), **options):  # noqa: B008 - a frozen value
    with ResultFolder(out, make_plan(config, (), files), files, **options) as folder:
        yield folder


def examined(pipeline, item, out):
    return save(pipeline.examine(item.path, name=item.name, output_name=item.output_name), out)


def run(pipeline, out, files, *, stop=None, **options):
    """Examine; ``stop`` images, then leave without an end."""
    with opened(out, files, **options) as folder:
        for item in folder.missing[:stop]:
            folder.add(examined(pipeline, item, out))
        if stop is None:
            folder.finish()
        return folder.tally.counts


def lines(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


ENDED = ["plan.jsonl", "records.jsonl", "report", "report.html", "run.json"]


def full_for(monkeypatch, ending):
    write = examination.write_atomic

    def fails(path, data):
        if path.name.endswith(ending):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(examination, "write_atomic", fails)


def test_each_image_has_its_line_as_soon_as_it_is_done(tmp_path, pipeline, files):
    out = tmp_path / "out"
    with opened(out, files) as folder:
        for number, item in enumerate(files, 1):
            folder.add(examined(pipeline, item, out))
            assert len(lines(out)) == number
        assert "report.html" not in names(out)
        folder.finish()
    assert [line["status"] for line in lines(out)] == ["ok", "ok", "error"]
    assert set(ENDED) <= set(names(out))
    assert folder.tally.counts == {"veiled": 1, "clean": 1, "failed": 1}
    assert folder.tally.exit_status == 1


@pytest.mark.parametrize("ending", ["a.veiled.png", "a.mask.png", "a.json", ""])
def test_a_full_disk_stops_the_run_and_the_record_says_so(
    tmp_path, monkeypatch, pipeline, files, ending
):
    out = tmp_path / "out"
    full_for(monkeypatch, ending)
    with opened(out, files) as folder, pytest.raises(MachineError, match="No space left"):
        for item in files:
            folder.add(examined(pipeline, item, out))
    (line,) = lines(out)
    assert line["status"] == "not_assessed"
    assert "could not be written (No space left on device)" in line["error"]
    assert "a.veiled.png" not in names(out) and "a.mask.png" not in names(out)
    monkeypatch.undo()
    assert run(pipeline, out, files, resume=True) == {"veiled": 1, "clean": 1, "failed": 1}
    assert [line["output_name"] for line in lines(out)] == ["a", "b", "c"]


def test_a_line_that_does_not_fit_leaves_no_part_of_itself(tmp_path, monkeypatch, pipeline, files):
    out = tmp_path / "out"
    with opened(out, files) as folder:
        folder.add(examined(pipeline, files[0], out))
        before = (out / "records.jsonl").read_bytes()

        def fails(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("counterveil.outputs.records.os.fsync", fails)
        with pytest.raises(MachineError, match="No space left"):
            folder.add(examined(pipeline, files[1], out))
    assert (out / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_run_that_was_cut_off_goes_on_with_what_is_missing(tmp_path, pipeline, files, stop):
    out = tmp_path / "out"
    run(pipeline, out, files, stop=stop)
    with pytest.raises(UsageError, match=rf"cut off there after {stop} of 3 images.*--resume"):
        run(pipeline, out, files)
    with opened(out, files, resume=True) as folder:
        assert len(folder.missing) == 3 - stop
    counts = run(pipeline, out, files, resume=True)
    assert counts == {"veiled": 1, "clean": 1, "failed": 1}
    assert [line["output_name"] for line in lines(out)] == ["a", "b", "c"]
    assert "card is-veiled" in (out / "report.html").read_text()


DAMAGE = {
    "its line is torn": lambda out, files: (out / "records.jsonl").write_bytes(
        (out / "records.jsonl").read_bytes()[:-9]
    ),
    "its line is no record": lambda out, files: (out / "records.jsonl").write_text("[1]\n{}\n7\n"),
    "its picture is gone": lambda out, files: (out / "a.veiled.png").unlink(),
    "its picture is another one": lambda out, files: (out / "a.mask.png").write_bytes(b"other"),
    "its record is gone": lambda out, files: (out / "a.json").unlink(),
    "its input has changed": lambda out, files: files[0].path.write_bytes(encode_png(square()[1:])),
    "its card is gone": lambda out, files: (out / "report" / "cards.jsonl").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_whole_is_done_again(tmp_path, pipeline, files, damage):
    out = tmp_path / "out"
    run(pipeline, out, files, stop=1)
    DAMAGE[damage](out, files)
    with opened(out, files, resume=True) as folder:
        assert [item.output_name for item in folder.missing] == ["a", "b", "c"], damage
    run(pipeline, out, files, resume=True)
    assert [line["output_name"] for line in lines(out)] == ["a", "b", "c"]
    assert (out / "a.veiled.png").is_file()


def test_records_stand_in_the_order_of_the_inputs_whatever_the_order_of_work(
    tmp_path, pipeline, files
):
    out = tmp_path / "out"
    with opened(out, files) as folder:
        for item in reversed(files):
            folder.add(examined(pipeline, item, out))
        folder.finish()
    assert [line["output_name"] for line in lines(out)] == ["a", "b", "c"]


OTHERS = {
    "margin was 0.4 and is 0": {"config": Config(margin=0)},
    "other inputs": {"files": slice(2)},
}


@pytest.mark.parametrize("words", OTHERS)
@pytest.mark.parametrize("ended", [True, False])
def test_results_of_another_run_are_refused_and_overwritten_only_on_demand(
    tmp_path, pipeline, files, words, ended
):
    out = tmp_path / "out"
    run(pipeline, out, files, stop=None if ended else 2)
    before = names(out)
    other = dict(OTHERS[words])
    inputs = files[other.pop("files", slice(None))]
    for resume in (False, True):
        with pytest.raises(UsageError, match=f"{words}.*--overwrite"):
            run(pipeline, out, inputs, resume=resume, **other)
    assert names(out) == before
    run(pipeline, out, inputs, overwrite=True, **other)
    assert [line["output_name"] for line in lines(out)] == [item.output_name for item in inputs]


def test_no_file_of_an_earlier_run_stays_beside_those_of_another(tmp_path, pipeline, files):
    out = tmp_path / "out"
    run(pipeline, out, files)
    (out / "mine.txt").write_text("mine")
    run(pipeline, out, [replace(files[1], output_name="z")], overwrite=True)
    results = ["z.json", "z.mask.png", "z.veiled.png"]
    assert names(out) == sorted([*ENDED, *results, "mine.txt"])


def test_a_run_that_ended_may_be_run_again(tmp_path, pipeline, files):
    out = tmp_path / "out"
    run(pipeline, out, files)
    files[0].path.write_bytes(b"no image either")
    assert run(pipeline, out, files) == {"clean": 1, "failed": 2}
    assert "a.veiled.png" not in names(out)


def test_results_without_a_plan_are_refused_and_removed_on_demand(tmp_path, pipeline, files):
    out = tmp_path / "out"
    run(pipeline, out, files)
    for name in ("plan.jsonl", "run.json"):
        (out / name).unlink()
    with pytest.raises(UsageError, match="results of unknown settings"):
        run(pipeline, out, files[1:])
    run(pipeline, out, files[1:], overwrite=True)
    assert "a.veiled.png" not in names(out)


def test_drafts_of_a_run_that_was_killed_are_removed(tmp_path, pipeline, files):
    out = tmp_path / "out"
    run(pipeline, out, files, stop=1)
    (out / ".counterveil-0123456789abcdef.tmp").write_bytes(b"half")
    run(pipeline, out, files, resume=True)
    assert not list(out.glob(".counterveil-*.tmp"))


@pytest.mark.parametrize("name", ["a.json", "b.veiled.png", "report.html", "run.json"])
def test_a_file_of_somebody_else_is_never_replaced(tmp_path, pipeline, files, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("{}")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(UsageError, match=f"would replace {name}"):
            run(pipeline, out, files, **options)
    assert names(out) == [name]


def test_two_runs_do_not_write_into_one_folder(tmp_path, files):
    with opened(tmp_path / "out", files), pytest.raises(UsageError, match="another run writes"):
        opened(tmp_path / "out", files).__enter__()


def test_a_file_in_the_folder_s_place_is_the_caller_s_mistake(tmp_path, files):
    (tmp_path / "out").write_text("mine")
    for path in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(UsageError, match="no results can be written there"):
            opened(path, files).__enter__()
    assert (tmp_path / "out").read_text() == "mine"


def test_a_picture_over_the_usual_limit_is_reported_too(tmp_path, monkeypatch, pipeline, files):
    """Limits are for strangers' files; the report's pictures are made of what was written."""
    from counterveil.images import Limits, load

    veiled = pipeline.examine(files[0].path, name="a.png", output_name="a")
    monkeypatch.setitem(load.__kwdefaults__, "limits", Limits(bytes=10, pixels=10))
    assert save(veiled, tmp_path).view is not None


def test_the_last_line_of_a_name_counts(tmp_path, pipeline, files):
    record = pipeline.examine(files[2].path, name="c.png", output_name="c").record
    log = RecordFile(tmp_path / "records.jsonl")
    for error in ("first", "second"):
        log.add(replace(record, error=error))
    with (tmp_path / "records.jsonl").open("ab") as file:
        file.write(b'{"half')
    assert [each.error for each in read_records(tmp_path / "records.jsonl")] == ["second"]
