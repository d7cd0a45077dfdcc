"""Interrupted benchmarks are resumed."""

from __future__ import annotations

import json

import pytest

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.checkpoint import Checkpoint


def run(path, name, count, log, *, header=None, resume=True, value=lambda item: {"item": item}):
    """Measure with chunks of two; the log gets each measured item and each step."""

    def measure(items):
        for item in items:
            log.append(item)
            yield value(item)

    checkpoint = Checkpoint(path, header, resume=resume, step=lambda: log.append("step"))
    return checkpoint.measure(name, count, measure, chunk_size=2)


def test_each_chunk_is_measured_once_and_stored_at_once(tmp_path):
    path, log = tmp_path / "deep" / "x.jsonl", []
    first = run(path, "a", 3, log, header={"size": 1})
    assert first == run(path, "a", 3, log, header={"size": 1}) == [{"item": i} for i in range(3)]
    assert log == [0, "step", 1, "step", 2, "step", *["step"] * 3]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"size": 1},
        {"part": "a, 0 to 2", "value": first[:2]},
        {"part": "a, 2 to 3", "value": first[2:]},
    ]


def test_stored_parts_are_read_and_new_parts_appended(tmp_path):
    path, log = tmp_path / "x.jsonl", []
    run(path, "a", 1, log)
    assert run(path, "a", 1, log, value=lambda item: "new") == [{"item": 0}]
    run(path, "b", 1, log)
    run(path, "b", 1, log)
    assert log == [0, "step", "step", 0, "step", "step"]
    run(path, "b", 1, log, resume=False)
    assert log[-2:] == [0, "step"]


def test_values_are_the_same_measured_or_read(tmp_path):
    values = [run(tmp_path / "x", "a", 1, [], value=lambda item: {"c": (1, 2)}) for _ in range(2)]
    assert values[0] == values[1] == [{"c": [1, 2]}]


def test_an_incomplete_line_is_measured_again(tmp_path):
    path = tmp_path / "x.jsonl"
    run(path, "a", 4, [])
    path.write_bytes(path.read_bytes()[:-7])
    run(path, "a", 4, [], value=lambda item: "again")
    assert run(path, "a", 4, []) == [{"item": 0}, {"item": 1}, "again", "again"]


def test_an_interrupted_chunk_is_not_stored(tmp_path):
    path = tmp_path / "x.jsonl"

    def fails(item):
        if item == 3:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        run(path, "a", 4, [], value=fails)
    assert len(path.read_text().splitlines()) == 1 + 1


def test_a_file_with_other_settings_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    Checkpoint(path, {"size": 1})
    with pytest.raises(UsageError, match="other settings"):
        Checkpoint(path, {"size": 2}, resume=True)
    Checkpoint(path, {"size": 2})  # starts over


def test_no_file_is_needed():
    assert run(None, "a", 1, []) == [{"item": 0}]
