"""Veils shrunk until nothing can be given back."""

from __future__ import annotations

import itertools
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.search.reduce import reduce


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
def test_of_what_grows_safer_as_more_is_veiled_the_needed_cells_are_left(data, count):
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
def test_a_budget_that_ends_leaves_an_acceptable_veil_and_proves_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    needed = set(np.flatnonzero(rng.random(30) < 0.3).tolist()) | {0}
    priority, whole = rng.random(30), holding(*needed)
    reduce(everything(30), priority, whole)
    accept = Accepting(whole.rule, budget)
    reduced = reduce(everything(30), priority, accept)
    assert left(reduced) >= needed
    assert len(accept.asked) <= budget
    assert reduced.irreducible == (budget >= len(whole.asked))


def test_the_front_of_the_order_goes_first():
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


def test_what_was_not_veiled_stays_unveiled():
    cells = np.array([True, False, True, False])
    accept = holding(2)
    assert left(reduce(cells, np.zeros(4), accept)) == {2}
    assert all(some <= {0, 2} for some in accept.asked)
    assert cells.tolist() == [True, False, True, False]


def test_a_veil_that_is_needless_is_given_back_whole():
    reduced = reduce(everything(9), np.arange(9.0), Accepting(lambda some: True))
    assert not reduced.cells.any()
    assert reduced.irreducible
