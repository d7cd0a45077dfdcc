"""Interrupted benchmarks are resumed."""

from __future__ import annotations

import json

import pytest

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.checkpoint import Checkpoint


def run(checkpoint, name, count, log, *, value=lambda item: {"item": item}):
    """Measure with chunks of two; the log gets each measured item, then "step"."""

    def measure(items):
        for item in items:
            log.append(item)
            yield value(item)

    return checkpoint.measure(name, count, measure, step=lambda: log.append("step"), chunk_size=2)


def test_each_chunk_is_measured_once_and_stored_at_once(tmp_path):
    path, log = tmp_path / "deep" / "x.jsonl", []
    checkpoint = Checkpoint(path, {"size": 1})
    first = run(checkpoint, "a", 3, log)
    assert first == run(checkpoint, "a", 3, log) == [{"item": item} for item in range(3)]
    assert log == [0, "step", 1, "step", 2, "step", *["step"] * 3]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"size": 1},
        {"part": "a, 0 to 2", "value": first[:2]},
        {"part": "a, 2 to 3", "value": first[2:]},
    ]


def test_stored_parts_are_read_and_new_parts_appended(tmp_path):
    path, log = tmp_path / "x.jsonl", []
    run(Checkpoint(path, {"size": 1}), "a", 1, log)
    again = Checkpoint(path, {"size": 1}, resume=True)
    assert run(again, "a", 1, log, value=lambda item: "new") == [{"item": 0}]
    run(again, "b", 1, log)
    run(Checkpoint(path, {"size": 1}, resume=True), "b", 1, log)
    assert log == [0, "step", "step", 0, "step", "step"]


def test_values_are_the_same_measured_or_read(tmp_path):
    path = tmp_path / "x.jsonl"
    values = [
        run(Checkpoint(path, {}, resume=resume), "a", 1, [], value=lambda item: {"curve": (1, 2)})
        for resume in (False, True)
    ]
    assert values[0] == values[1] == [{"curve": [1, 2]}]


def test_an_incomplete_line_is_measured_again(tmp_path):
    path, log = tmp_path / "x.jsonl", []
    run(Checkpoint(path, {}), "a", 4, log)
    path.write_bytes(path.read_bytes()[:-7])
    run(Checkpoint(path, {}, resume=True), "a", 4, log, value=lambda item: "again")
    third = run(Checkpoint(path, {}, resume=True), "a", 4, log)
    assert third == [{"item": 0}, {"item": 1}, "again", "again"]


def test_an_interrupted_chunk_is_not_stored(tmp_path):
    path = tmp_path / "x.jsonl"

    def fails(item):
        if item == 3:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        run(Checkpoint(path, {}), "a", 4, [], value=fails)
    assert len(path.read_text().splitlines()) == 1 + 1


def test_a_file_with_other_settings_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    Checkpoint(path, {"size": 1})
    with pytest.raises(UsageError, match="other settings"):
        Checkpoint(path, {"size": 2}, resume=True)
    Checkpoint(path, {"size": 2})  # starts over


def test_the_file_is_removed_and_optional(tmp_path):
    path = tmp_path / "x.jsonl"
    checkpoint = Checkpoint(path, {}, resume=True)
    checkpoint.remove()
    assert not path.exists()
    nothing = Checkpoint()
    assert run(nothing, "a", 1, []) == [{"item": 0}]
    nothing.remove()
