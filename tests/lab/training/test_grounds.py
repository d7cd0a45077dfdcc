"""Things on other grounds: the things stay, the rest is another, none like the last."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from counterveil.lab.training.grounds import Grounds

HEIGHT, WIDTH = 40, 56


@pytest.fixture(scope="module")
def grounds():
    return Grounds(HEIGHT, WIDTH, rng=np.random.default_rng(0), count=12)


def scene():
    things = np.zeros((HEIGHT, WIDTH), bool)
    things[10:20, 12:30] = True
    image = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    image[things] = (200, 30, 60)
    return image, things


def test_things_stay_as_they_are_and_the_rest_is_replaced(grounds):
    image, things = scene()
    rng = np.random.default_rng(1)
    for _ in range(20):
        changed = grounds(image, things, rng)
        assert changed.dtype == np.uint8
        assert (changed[things] == image[things]).all()
        beyond = ~binary_dilation(things)
        assert (changed[beyond] != image[beyond]).any(axis=1).mean() > 0.8


def test_grounds_differ(grounds):
    image, things = scene()
    rng = np.random.default_rng(1)
    changed = [grounds(image, things, rng) for _ in range(40)]
    means = {tuple(one.reshape(-1, 3).mean(axis=0).round(2)) for one in changed}
    assert len(means) > 6


def test_the_same_seed_makes_the_same(grounds):
    image, things = scene()
    again = Grounds(HEIGHT, WIDTH, rng=np.random.default_rng(0), count=12)
    first = Grounds(HEIGHT, WIDTH, rng=np.random.default_rng(0), count=12)
    rngs = [np.random.default_rng(1) for _ in range(2)]
    assert (again(image, things, rngs[0]) == first(image, things, rngs[1])).all()
