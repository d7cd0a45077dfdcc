"""Cores completed within the foreground, never over ground and never without bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label

from counterveil.masking.foreground import GrowthSettings, complete_to_objects

SIDE = 100
BODY = (slice(20, 90), slice(30, 70))
SCRAP = (slice(40, 46), slice(44, 54))


def at(*places):
    mask = np.zeros((SIDE, SIDE), bool)
    for place in places:
        mask[place] = True
    return mask


def of(mask):
    return mask.astype(np.float32)


def heat(*places, width=4.0):
    return gaussian_filter(of(at(*places)), width)


def test_scraps_of_an_object_become_one_piece():
    chest = (slice(36, 56), slice(36, 64))
    core = at((slice(38, 44), slice(38, 46)), (slice(46, 54), slice(52, 62)))
    found = complete_to_objects(core, of(at(BODY)), heat(chest))
    assert label(core)[1] == 2 and label(found)[1] == 1
    assert (found >= core).all()
    assert found[chest].mean() > 0.6


def test_nothing_is_added_outside_the_foreground():
    core = at((slice(50, 60), slice(60, 80)))  # lies half over the body's edge
    found = complete_to_objects(core, of(at(BODY)), heat((slice(40, 70), slice(50, 95))))
    added = found & ~core
    assert added.any()
    assert not (added & ~at(BODY)).any()


def test_a_core_on_the_background_is_not_completed():
    core = at((slice(30, 40), slice(2, 12)))
    everywhere = np.ones((SIDE, SIDE), np.float32)
    assert (complete_to_objects(core, of(at(BODY)), everywhere) == core).all()
    assert (complete_to_objects(core, np.zeros_like(everywhere), everywhere) == core).all()


def test_parts_on_the_background_stay_while_others_grow():
    ground, scrap = (slice(2, 12), slice(2, 12)), SCRAP
    found = complete_to_objects(at(ground, scrap), of(at(BODY)), heat(BODY))
    assert found.sum() > at(ground, scrap).sum()
    assert (found[:20] == at(ground)[:20]).all()


def test_a_body_is_not_swallowed_for_a_scrap_of_it():
    core, evenly = at(SCRAP), np.ones((SIDE, SIDE), np.float32)
    grown = GrowthSettings()
    for attribution in (evenly, heat(BODY), heat((slice(60, 90), slice(30, 70)))):
        found = complete_to_objects(core, of(at(BODY)), attribution)
        assert found.sum() <= grown.max_growth * core.sum()


def test_a_large_core_does_not_grow_to_more_than_a_quarter_of_the_image():
    core = at((slice(30, 60), slice(30, 65)))
    found = complete_to_objects(core, np.ones((SIDE, SIDE), np.float32), heat(BODY, width=20))
    assert core.sum() < found.sum() <= 0.25 * SIDE * SIDE
    whole = np.ones((SIDE, SIDE), bool)
    whole[:, :40] = False  # larger than a quarter: kept, not grown
    assert (complete_to_objects(whole, of(~at()), heat(BODY)) == whole).all()


def test_cold_parts_of_the_object_are_left():
    warm, core = (slice(30, 50), slice(32, 68)), at((slice(34, 46), slice(40, 60)))
    found = complete_to_objects(core, of(at(BODY)), heat(warm))
    assert (found & ~core).any()
    assert not found[62:].any()


def test_holes_are_filled():
    ring = at((slice(30, 60), slice(35, 65)))
    ring[40:50, 45:55] = False
    assert complete_to_objects(ring, of(at(BODY)), of(ring))[42:48, 47:53].all()


def test_an_outline_is_smoother_than_the_pixels_that_argue():
    rng = np.random.default_rng(0)
    rough = heat((slice(35, 65), slice(35, 65))) * rng.uniform(0.5, 1.5, (SIDE, SIDE))
    core = at((slice(40, 60), slice(40, 60)))
    found = complete_to_objects(core, of(at(BODY)), rough.astype(np.float32))
    border = np.abs(np.diff(found.astype(int), axis=0)).sum()
    border += np.abs(np.diff(found.astype(int), axis=1)).sum()
    assert found.sum() > core.sum()
    assert border < 1.4 * 4 * np.sqrt(found.sum())  # a square has 4


def test_a_little_noise_changes_little():
    rng = np.random.default_rng(1)
    core, body = at((slice(40, 55), slice(40, 58))), of(at(BODY))
    attribution = heat((slice(40, 60), slice(40, 60)), width=8)
    first = complete_to_objects(core, body, attribution)
    noisy = attribution + rng.normal(0, 0.02, attribution.shape).astype(np.float32)
    second = complete_to_objects(core, body, noisy)
    assert (first & second).sum() > 0.85 * (first | second).sum()


@given(seed=st.integers(0, 10_000), growth=st.sampled_from([1.0, 2.0, 5.0]))
@settings(max_examples=40, deadline=None)
def test_the_bounds_hold_for_any_input(seed, growth):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 60, 2))
    maps = [gaussian_filter(rng.random(shape), 3).astype(np.float32) for _ in range(3)]
    core = maps[0] > np.quantile(maps[0], rng.random())
    foreground = np.clip(maps[1] * 2 - 0.5, 0, 1)
    limits = replace(GrowthSettings(), max_growth=growth)
    found = complete_to_objects(core, foreground, maps[2], settings=limits)
    assert found.dtype == bool and found.shape == shape
    assert (found >= core).all()
    assert not (found & ~core & (foreground < 0.5)).any()
    assert found.sum() <= max(core.sum(), min(growth * core.sum(), 0.25 * core.size))
    assert (complete_to_objects(core, foreground, maps[2], settings=limits) == found).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 7)])
def test_small_images(shape):
    nothing, everything = np.zeros(shape, bool), np.ones(shape, bool)
    flat = np.ones(shape, np.float32)
    assert not complete_to_objects(nothing, flat, flat).any()
    assert complete_to_objects(everything, flat, flat).all()
