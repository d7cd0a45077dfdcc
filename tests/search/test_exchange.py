"""Veiled regions traded for smaller ones."""

from __future__ import annotations

import numpy as np

from counterveil.search.exchange import exchange
from counterveil.search.reduce import Reduced


def veil(*cells, count=6):
    return Reduced(np.isin(np.arange(count), cells), irreducible=True)


def accepts(*wanted):
    """Sets that hold all of the cells of one wish at least."""

    def accept(sets):
        return np.array([any(row[list(wish)].all() for wish in wanted) for row in sets], bool)

    return accept


AREAS = np.array([9.0, 5.0, 4.0, 3.0, 2.0, 1.0])
HEAT = np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])


def test_a_large_region_gives_way_to_a_small_one_that_does_as_well():
    found = exchange(veil(0), AREAS, HEAT, accepts([0], [2], [4]))
    assert found.cells.nonzero()[0].tolist() == [4]
    assert found.irreducible


def test_several_give_way_to_one():
    found = exchange(veil(1, 2), AREAS, HEAT, accepts([1, 2], [3]))
    assert found.cells.nonzero()[0].tolist() == [3]


def test_one_of_several_gives_way_and_the_others_are_tried_again():
    found = exchange(veil(0, 1), AREAS, HEAT, accepts([0, 1], [1, 5], [5, 4]))
    assert found.cells.nonzero()[0].tolist() == [4, 5]


def test_what_is_larger_is_not_tried():
    tried = []

    def accept(sets):
        tried.extend(sets @ AREAS)
        return np.zeros(len(sets), bool)

    assert (exchange(veil(2, 3), AREAS, HEAT, accept).cells == veil(2, 3).cells).all()
    assert tried
    assert max(tried) < AREAS[[2, 3]].sum()


def test_of_many_regions_fewer_exchanges_are_tried_and_none_that_veils_part_of_the_same():
    tried = []

    def accept(sets):
        tried.append(sets)
        return np.zeros(len(sets), bool)

    areas = np.arange(60.0, 0, -1)
    for size, most in ((1, 24), (2, 24), (6, 8), (20, 2)):
        exchange(veil(*range(size), count=60), areas, areas, accept)
        assert len(tried[-1]) == most
        assert tried[-1][:, size:].any(axis=1).all()


def test_the_smallest_region_is_left_as_it_is():
    def accept(sets):
        raise AssertionError("nothing is smaller")

    assert (exchange(veil(5), AREAS, HEAT, accept).cells == veil(5).cells).all()


def test_a_budget_that_ends_takes_nothing_away():
    """Fewer answers than sets, as a trial gives them when it may score no more."""
    found = exchange(veil(0), AREAS, HEAT, lambda sets: np.zeros(0, bool))
    assert found.irreducible
    assert found.cells.nonzero()[0].tolist() == [0]


def test_rounds_come_to_an_end():
    """Many regions, and every set does: the smallest one remains, after few rounds."""
    rng, calls = np.random.default_rng(0), []

    def accept(sets):
        calls.append(len(sets))
        return np.ones(len(sets), bool) & sets.any(axis=1)

    areas = rng.uniform(1, 9, 200)
    found = exchange(veil(*range(20), count=200), areas, rng.random(200), accept)
    assert found.cells.sum() == 1
    assert max(calls) <= 24
