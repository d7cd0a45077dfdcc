"""Interrupted benchmarks are resumed."""

from __future__ import annotations

import json

import pytest

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.checkpoint import Checkpoint


def measured(value, calls):
    def measure():
        calls.append(value)
        return {"value": value}

    return measure


def test_each_part_is_measured_once_and_stored_at_once(tmp_path):
    path, calls = tmp_path / "deep" / "x.jsonl", []
    checkpoint = Checkpoint(path, {"size": 1}, resume=False)
    assert checkpoint.get_or_measure("a", measured(1, calls)) == checkpoint.get_or_measure(
        "a", measured(2, calls)
    )
    assert calls == [1]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"size": 1}, {"part": "a", "value": {"value": 1}}]


def test_stored_parts_are_read_and_new_parts_appended(tmp_path):
    path, calls = tmp_path / "x.jsonl", []
    Checkpoint(path, {"size": 1}, resume=False).get_or_measure("a", measured(1, calls))
    again = Checkpoint(path, {"size": 1}, resume=True)
    assert "a" in again and "b" not in again
    assert again.get_or_measure("a", measured(9, calls)) == {"value": 1}
    again.get_or_measure("b", measured(2, calls))
    third = Checkpoint(path, {"size": 1}, resume=True)
    assert "b" in third
    assert calls == [1, 2]


def test_an_incomplete_line_is_measured_again(tmp_path):
    path, calls = tmp_path / "x.jsonl", []
    checkpoint = Checkpoint(path, {}, resume=False)
    checkpoint.get_or_measure("a", measured(1, calls))
    checkpoint.get_or_measure("b", measured(2, calls))
    path.write_bytes(path.read_bytes()[:-7])
    again = Checkpoint(path, {}, resume=True)
    again.get_or_measure("b", measured(3, calls))
    assert Checkpoint(path, {}, resume=True).get_or_measure("b", measured(4, calls)) == {"value": 3}
    assert calls == [1, 2, 3]


def test_a_file_with_other_settings_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    Checkpoint(path, {"size": 1}, resume=False)
    with pytest.raises(UsageError, match="other settings"):
        Checkpoint(path, {"size": 2}, resume=True)
    Checkpoint(path, {"size": 2}, resume=False)  # afresh


def test_the_file_is_removed_and_optional(tmp_path):
    path = tmp_path / "x.jsonl"
    checkpoint = Checkpoint(path, {}, resume=True)
    checkpoint.remove()
    assert not path.exists()
    nothing = Checkpoint(None, {}, resume=False)
    assert nothing.get_or_measure("a", lambda: 1) == 1
    nothing.remove()


def test_chunks_are_stored_one_by_one_and_steps_of_stored_items_are_counted(tmp_path):
    path, measured_items, steps = tmp_path / "x.jsonl", [], []

    def measure(items):
        for item in items:
            measured_items.append(item)
            steps.append("measured")
        return list(items)

    def run(resume):
        return Checkpoint(path, {}, resume=resume).measure_in_chunks(
            "row", 5, 2, measure, step=lambda: steps.append("stored")
        )

    assert run(False) == run(True) == [0, 1, 2, 3, 4]
    assert measured_items == [0, 1, 2, 3, 4]
    assert steps == ["measured"] * 5 + ["stored"] * 5
    parts = [json.loads(line)["part"] for line in path.read_text().splitlines()[1:]]
    assert parts == ["row, 0 to 2", "row, 2 to 4", "row, 4 to 5"]
