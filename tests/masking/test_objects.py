"""Masks of object parts, completed to whole objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from counterveil import segmentation
from counterveil.masking.objects import CompletionSettings, complete_objects

SIDE = 96
BAR = (slice(40, 56), slice(12, 84))
BACKGROUND = (90, 140, 90)


def picture(objects=((BAR, (200, 60, 40)),), noise=4, seed=0):
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), BACKGROUND, int)
    for place, colour in objects:
        image[place] = colour
    return np.clip(image + rng.integers(-noise, noise + 1, image.shape), 0, 255).astype(np.uint8)


def partition(image):
    return segmentation.make("bass", size=5)(image)


def inside(*places):
    mask = np.zeros((SIDE, SIDE), bool)
    for place in places:
        mask[place] = True
    return mask


def test_the_rest_of_an_object_is_found_and_little_else():
    image, truth = picture(), inside(BAR)
    seed = inside((slice(40, 56), slice(30, 64)))
    found = complete_objects(image, seed, partition(image))
    assert (found & truth).sum() > 0.97 * truth.sum()
    assert not (found & ~binary_dilation(truth, iterations=2)).any()


def test_parts_with_an_outline_between_them_are_one_object():
    image = picture()
    image[40:56, 46:48] = 10
    image[40:56, 60:62] = 10
    seed = inside((slice(40, 56), slice(14, 48)))
    found = complete_objects(image, seed, partition(image))
    assert found[inside((slice(40, 56), slice(62, 68)))].mean() > 0.95


def test_another_object_of_another_colour_is_left():
    other = (slice(58, 74), slice(12, 84))
    image = picture(((BAR, (200, 60, 40)), (other, (40, 60, 200))))
    found = complete_objects(image, inside((slice(40, 56), slice(30, 60))), partition(image))
    assert found[inside(other)].mean() < 0.1


def test_attribution_adds_a_part_of_another_colour():
    other = (slice(56, 66), slice(30, 60))
    image = picture(((BAR, (200, 60, 40)), (other, (40, 60, 200))))
    seed, cells = inside((slice(40, 56), slice(30, 60))), partition(image)
    cold, warm = (
        np.where(inside(*hot), np.float32(1), np.float32(0)) for hot in ((BAR,), (BAR, other))
    )
    assert complete_objects(image, seed, cells, attribution_map=cold)[inside(other)].mean() < 0.2
    found = complete_objects(image, seed, cells, attribution_map=warm)
    assert found[inside(other)].mean() > 0.9
    assert found.mean() < 1.3 * inside(BAR, other).mean()


def test_background_without_attribution_is_left_in_spite_of_its_colour():
    image = picture(((BAR, (95, 140, 90)),))
    seed = inside((slice(40, 56), slice(30, 60)))
    attribution_map = np.where(seed, np.float32(1), np.float32(0))
    assert (
        complete_objects(image, seed, partition(image), attribution_map=attribution_map).mean()
        < 2 * seed.mean()
    )


def test_a_result_that_spreads_over_the_background_is_rejected():
    ramp = np.linspace(60, 160, SIDE)
    image = np.stack(
        [np.tile(ramp, (SIDE, 1)), np.full((SIDE, SIDE), 120.0), np.tile(ramp[:, None], (1, SIDE))],
        -1,
    )
    image = image.astype(np.uint8)
    seed = inside((slice(40, 50), slice(60, 72)))
    attribution_map = np.full((SIDE, SIDE), np.float32(0.9))
    attribution_map[seed], attribution_map[:20] = 1, 0
    eager = CompletionSettings(contact_log_odds=2.0, distance_weight=0.0, min_distinctness=-9.0)
    cells = partition(image)

    def share(**rules):
        return complete_objects(
            image, seed, cells, attribution_map=attribution_map, settings=replace(eager, **rules)
        ).mean()

    assert share(max_area=1.0, max_weak_edge=1.0) > 0.25
    assert share(max_weak_edge=1.0) < 0.25  # too much of it
    assert share(max_area=1.0) < 0.25  # and its outline is none


@pytest.mark.parametrize(("part", "hidden"), [(0.25, True), (0.0, False)])
def test_letters_on_an_object_are_veiled_with_it(part, hidden):
    letters = [(slice(42, 54), slice(x, x + 3)) for x in (34, 42, 50)]
    image = picture(((BAR, (230, 230, 220)), *((letter, BACKGROUND) for letter in letters)))
    seed = inside(BAR) & ~inside(*letters)
    found = complete_objects(
        image,
        seed,
        partition(image),
        settings=CompletionSettings(max_hole=part, reach=0, dilation=0),
    )
    assert found[inside(*letters)].all() == hidden
    assert (found & ~inside(BAR)).sum() < 0.1 * seed.sum()


@pytest.mark.parametrize("turns", range(4))
def test_letters_cut_off_by_the_edge_of_the_image_are_veiled_too(turns):
    sign, letter = (slice(0, 40), slice(20, 76)), (slice(0, 16), slice(40, 46))
    image = np.rot90(picture(((sign, (200, 60, 40)), (letter, (240, 240, 240)))), turns)
    seed = np.rot90(inside(sign) & ~inside(letter), turns)
    found = complete_objects(
        image, seed, partition(image), settings=CompletionSettings(reach=0, dilation=0)
    )
    assert found[np.rot90(inside(letter), turns)].all()
    assert (found & ~np.rot90(inside(sign), turns)).sum() < 0.1 * seed.sum()


def test_a_large_hole_is_not_filled():
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    ring = np.zeros((SIDE, SIDE), bool)
    ring[30:66, 30:66] = True
    ring[34:62, 34:62] = False
    image[ring] = 200, 60, 40
    found = complete_objects(image, ring, partition(image), settings=CompletionSettings(reach=0))
    assert not found[40:56, 40:56].any()


def test_the_same_colour_out_of_reach_is_left():
    far = (slice(4, 12), slice(80, 92))
    image = picture(((BAR, (200, 60, 40)), (far, (200, 60, 40))))
    found = complete_objects(image, inside((slice(40, 56), slice(30, 40))), partition(image))
    assert not found[inside(far)].any()


def test_each_of_two_objects_is_completed():
    left, right = (slice(10, 26), slice(8, 40)), (slice(60, 80), slice(50, 88))
    image = picture(((left, (200, 60, 40)), (right, (240, 220, 40))))
    seed = inside((slice(10, 26), slice(8, 22)), (slice(60, 80), slice(64, 80)))
    found = complete_objects(image, seed, partition(image))
    assert found[inside(left, right)].mean() > 0.95
    assert found.mean() < 1.3 * inside(left, right).mean()


def test_a_part_on_plain_background_does_not_flood_the_image():
    image = picture(())
    seed = inside((slice(40, 56), slice(36, 58)))
    assert complete_objects(image, seed, partition(image)).mean() < 6 * seed.mean()


@pytest.mark.parametrize("seed", [np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)])
def test_empty_and_full_masks_stay_as_they_are(seed):
    image = picture()
    assert (complete_objects(image, seed, partition(image)) == seed).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_result_includes_the_core_mask_and_is_reproducible(number):
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (40, 52, 3)).astype(np.uint8)
    labels = segmentation.make("slic", n_segments=40)(image)
    seed = rng.random((40, 52)) < rng.uniform(0, 0.3)
    found = complete_objects(image, seed, labels)
    assert (found | seed == found).all()
    assert (complete_objects(image, seed, labels) == found).all()
