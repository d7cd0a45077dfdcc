"""Sets of veiled cells, reduced until none can be removed, and exchanged for smaller ones."""

from __future__ import annotations

import itertools
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.search.reduce import ReducedSet, exchange, reduce


class Accepting:
    """Accepts what a rule accepts, counts the sets it was asked, and may end early."""

    def __init__(self, rule, budget=10**6):
        self.rule, self.left, self.asked = rule, budget, []

    def __call__(self, sets):
        sets = sets[: self.left]
        self.left -= len(sets)
        self.asked += [frozenset(np.flatnonzero(row).tolist()) for row in sets]
        return np.array(
            [self.rule(some) for some in self.asked[len(self.asked) - len(sets) :]], bool
        )


def holding(*cells):
    """Acceptable as long as it holds some cells."""
    return Accepting(lambda some: some >= set(cells))


def everything(count):
    return np.ones(count, bool)


def left(reduced):
    return set(np.flatnonzero(reduced.cells).tolist())


@given(data=st.data(), count=st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_under_a_monotone_rule_exactly_the_needed_cells_are_left(data, count):
    needed = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    priority = np.array(data.draw(st.permutations(range(count))), float)
    reduced = reduce(everything(count), priority, holding(*needed))
    assert left(reduced) == needed
    assert reduced.irreducible


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_under_any_rule_irreducible_means_that_each_cell_left_was_tried(seed, count):
    """More veil is not always safer; a cell needed once may be needless later."""
    rng = np.random.default_rng(seed)
    subsets = itertools.chain.from_iterable(
        itertools.combinations(range(count), size) for size in range(count + 1)
    )
    safe = {frozenset(some) for some in subsets if rng.random() < 0.5} - {frozenset()}
    safe |= {frozenset(range(count))}
    accept = Accepting(safe.__contains__)
    reduced = reduce(everything(count), rng.random(count), accept)
    assert reduced.irreducible
    found = frozenset(left(reduced))
    assert found in safe
    for cell in found:
        assert found - {cell} in accept.asked
        assert found - {cell} not in safe


@given(seed=st.integers(0, 10**6), budget=st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_an_ended_budget_leaves_an_acceptable_set_without_proof(seed, budget):
    rng = np.random.default_rng(seed)
    needed = set(np.flatnonzero(rng.random(30) < 0.3).tolist()) | {0}
    priority, whole = rng.random(30), holding(*needed)
    reduce(everything(30), priority, whole)
    accept = Accepting(whole.rule, budget)
    reduced = reduce(everything(30), priority, accept)
    assert left(reduced) >= needed
    assert len(accept.asked) <= budget
    assert reduced.irreducible == (budget >= len(whole.asked))


def test_the_lowest_priority_is_removed_first():
    """Of two cells that do as well, the one with the lower priority is given back."""
    for priority, kept in (([0, 1, 2], {2}), ([2, 1, 0], {0})):
        accept = Accepting(lambda some: bool(some & {0, 2}))
        assert left(reduce(everything(3), np.array(priority, float), accept)) == kept


@pytest.mark.parametrize(("count", "needed"), [(125, 14), (40, 3), (150, 1), (64, 32)])
def test_few_sets_are_tried(count, needed):
    """Far fewer than two passes over all cells take, where few of them are needed."""
    rng = np.random.default_rng(count)
    accept = holding(*rng.choice(count, needed, replace=False).tolist())
    reduce(everything(count), rng.random(count), accept)
    assert len(accept.asked) <= needed * (log2(count / needed) + 4) + 2 * log2(count)


def test_where_all_is_needed_each_cell_is_tried_once():
    accept = holding(*range(50))
    reduced = reduce(everything(50), np.arange(50.0), accept)
    assert reduced.irreducible
    assert len(set(accept.asked)) == len(accept.asked) == 50


def test_unveiled_cells_stay_unveiled():
    cells = np.array([True, False, True, False])
    accept = holding(2)
    assert left(reduce(cells, np.zeros(4), accept)) == {2}
    assert all(some <= {0, 2} for some in accept.asked)
    assert cells.tolist() == [True, False, True, False]


def test_an_unneeded_set_is_removed_whole():
    reduced = reduce(everything(9), np.arange(9.0), Accepting(lambda some: True))
    assert not reduced.cells.any()
    assert reduced.irreducible


# --- exchanges ---


def veil(*cells, count=6):
    return ReducedSet(np.isin(np.arange(count), cells), irreducible=True)


def accepts(*wanted):
    """Sets that hold all of the cells of one wish at least."""

    def accept(sets):
        return np.array([any(row[list(wish)].all() for wish in wanted) for row in sets], bool)

    return accept


AREAS = np.array([9.0, 5.0, 4.0, 3.0, 2.0, 1.0])
HEAT = np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])


def test_a_large_cell_is_exchanged_for_a_small_one():
    found = exchange(veil(0), AREAS, HEAT, accepts([0], [2], [4]))
    assert found.cells.nonzero()[0].tolist() == [4]
    assert found.irreducible


def test_several_cells_are_exchanged_for_one():
    found = exchange(veil(1, 2), AREAS, HEAT, accepts([1, 2], [3]))
    assert found.cells.nonzero()[0].tolist() == [3]


def test_exchanges_go_on_after_the_first():
    found = exchange(veil(0, 1), AREAS, HEAT, accepts([0, 1], [1, 5], [5, 4]))
    assert found.cells.nonzero()[0].tolist() == [4, 5]


def test_larger_sets_are_not_tried():
    tried = []

    def accept(sets):
        tried.extend(sets @ AREAS)
        return np.zeros(len(sets), bool)

    assert (exchange(veil(2, 3), AREAS, HEAT, accept).cells == veil(2, 3).cells).all()
    assert tried
    assert max(tried) < AREAS[[2, 3]].sum()


def test_fewer_exchanges_are_tried_for_larger_sets():
    tried = []

    def accept(sets):
        tried.append(sets)
        return np.zeros(len(sets), bool)

    areas = np.arange(60.0, 0, -1)
    for size, most in ((1, 24), (2, 24), (6, 8), (20, 2)):
        exchange(veil(*range(size), count=60), areas, areas, accept)
        assert len(tried[-1]) == most
        assert tried[-1][:, size:].any(axis=1).all()


def test_the_smallest_cell_is_not_exchanged():
    def accept(sets):
        raise AssertionError("nothing is smaller")

    assert (exchange(veil(5), AREAS, HEAT, accept).cells == veil(5).cells).all()


def test_an_ended_budget_leaves_the_set_as_it_is():
    """Fewer answers than sets, as a trial gives them when it may score no more."""
    found = exchange(veil(0), AREAS, HEAT, lambda sets: np.zeros(0, bool))
    assert found.irreducible
    assert found.cells.nonzero()[0].tolist() == [0]


def test_number_of_rounds_is_limited():
    """Many regions, and every set does: the smallest one remains, after few rounds."""
    rng, calls = np.random.default_rng(0), []

    def accept(sets):
        calls.append(len(sets))
        return np.ones(len(sets), bool) & sets.any(axis=1)

    areas = rng.uniform(1, 9, 200)
    found = exchange(veil(*range(20), count=200), areas, rng.random(200), accept)
    assert found.cells.sum() == 1
    assert max(calls) <= 24
