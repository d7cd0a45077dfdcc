"""Progress bars: items come in order, from one or several processes, and nothing is printed."""

from __future__ import annotations

import pytest

from counterveil.progress import progress_bar, track


@pytest.mark.parametrize(("function", "expected"), [(None, [3, -1, 2]), (abs, [3, 1, 2])])
def test_items_are_yielded_in_order(function, expected):
    assert list(track([3, -1, 2], "counting", function=function)) == expected


def test_worker_processes_keep_the_order():
    numbers = range(-20, 0)
    assert list(track(numbers, "counting", function=abs, workers=2)) == list(map(abs, numbers))


def test_nothing_is_printed_without_a_terminal(capfd):
    with progress_bar(2) as step:
        step()
        step.set_total(3, completed=2)
        step()
    list(track([1], "counting"))
    assert capfd.readouterr() == ("", "")
