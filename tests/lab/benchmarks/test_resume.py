"""A bench that was cut off is taken up where it was."""

from __future__ import annotations

import json

import pytest

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.resume import Saved


def measured(value, calls):
    def measure():
        calls.append(value)
        return {"value": value}

    return measure


def test_a_part_is_measured_once_and_is_on_disk_at_once(tmp_path):
    path, calls = tmp_path / "deep" / "x.jsonl", []
    saved = Saved(path, {"size": 1}, resume=False)
    assert saved.once("a", measured(1, calls)) == saved.once("a", measured(2, calls))
    assert calls == [1]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"size": 1}, {"part": "a", "value": {"value": 1}}]


def test_what_was_saved_is_taken_up_and_the_rest_appended(tmp_path):
    path, calls = tmp_path / "x.jsonl", []
    Saved(path, {"size": 1}, resume=False).once("a", measured(1, calls))
    again = Saved(path, {"size": 1}, resume=True)
    assert "a" in again and "b" not in again
    assert again.once("a", measured(9, calls)) == {"value": 1}
    again.once("b", measured(2, calls))
    third = Saved(path, {"size": 1}, resume=True)
    assert "b" in third
    assert calls == [1, 2]


def test_half_a_line_is_measured_again(tmp_path):
    path, calls = tmp_path / "x.jsonl", []
    saved = Saved(path, {}, resume=False)
    saved.once("a", measured(1, calls))
    saved.once("b", measured(2, calls))
    path.write_bytes(path.read_bytes()[:-7])
    again = Saved(path, {}, resume=True)
    again.once("b", measured(3, calls))
    assert Saved(path, {}, resume=True).once("b", measured(4, calls)) == {"value": 3}
    assert calls == [1, 2, 3]


def test_another_measurement_is_not_taken_up(tmp_path):
    path = tmp_path / "x.jsonl"
    Saved(path, {"size": 1}, resume=False)
    with pytest.raises(UsageError, match="other settings"):
        Saved(path, {"size": 2}, resume=True)
    Saved(path, {"size": 2}, resume=False)  # afresh


def test_it_is_gone_when_the_figures_are_written_and_none_is_needed(tmp_path):
    path = tmp_path / "x.jsonl"
    saved = Saved(path, {}, resume=True)
    saved.remove()
    assert not path.exists()
    nothing = Saved(None, {}, resume=False)
    assert nothing.once("a", lambda: 1) == 1
    nothing.remove()
