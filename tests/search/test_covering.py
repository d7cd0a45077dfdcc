from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.search.covering import covering_array


@given(regions=st.integers(1, 12), strength=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_every_combination_is_tested(regions, strength):
    strength = min(strength, regions)
    tests = covering_array(regions, strength)
    for columns in itertools.combinations(range(regions), strength):
        assert len(np.unique(tests[:, columns], axis=0)) == 2**strength


@pytest.mark.parametrize(
    ("regions", "strength", "most"),
    [(10, 2, 10), (20, 2, 13), (10, 3, 22), (20, 3, 32), (10, 4, 48)],  # of 2 ** regions
)
def test_tests_are_few(regions, strength, most):
    assert len(covering_array(regions, strength)) <= most


def test_the_same_array_each_time_and_nobody_can_change_it():
    array = covering_array(6, 2)
    assert array is covering_array(6, 2)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = True
