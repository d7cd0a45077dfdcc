"""Veils to train under: what they hide is what the label says is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.lab.training.veils import HIDDEN, SHOWN, Veiler, lesson, target, visible_shares

SIDE = 48


def objects():
    """Two objects of 100 and 144 pixels."""
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    numbers[4:14, 4:14] = 1
    numbers[30:42, 28:40] = 2
    return numbers


def test_the_target_falls_with_what_is_visible():
    assert target(0) == target(HIDDEN) == 0
    assert target(SHOWN) == target(1) == 1
    assert 0 < target((HIDDEN + SHOWN) / 2) < 1


def test_visible_shares_are_counted():
    veil = np.zeros((SIDE, SIDE), bool)
    veil[4:9, 4:14] = True
    assert visible_shares(objects(), veil).tolist() == [0, 0.5, 1]


def test_a_lesson_says_what_is_visible_where():
    veil = objects() == 2
    wanted = lesson(objects(), veil)
    assert (wanted[objects() == 1] == 1).all()
    assert (wanted[veil] == 0).all()
    assert lesson(objects(), objects() > 0).max() == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_veil_changes_what_it_covers_and_nothing_else(seed):
    image = np.random.default_rng(seed).integers(1, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    veiler = Veiler(SIDE, SIDE, rng=np.random.default_rng(seed), share=1.0, partitions=3)
    veiled, veil = veiler(image, objects(), True, None)
    assert (veiled[~veil] == image[~veil]).all()
    assert len(np.unique(veiled[veil].reshape(-1, 3), axis=0)) <= 1


def test_veils_of_unsafe_images_leave_all_some_or_nothing():
    veiler = Veiler(SIDE, SIDE, rng=np.random.default_rng(0), share=1.0, partitions=20)
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    left = []
    for _ in range(200):
        veil = veiler(image, objects(), True, None)[1]
        left.append(lesson(objects(), veil).max())
    assert np.mean(np.array(left) == 0) > 0.1
    assert np.mean(np.array(left) == 1) > 0.3
    assert np.mean((np.array(left) > 0) & (np.array(left) < 1)) > 0.02


def test_without_masks_only_small_veils_hide_parts_of_what_may_be_unsafe():
    veiler = Veiler(SIDE, SIDE, rng=np.random.default_rng(0), share=1.0, partitions=20)
    image, nothing = np.full((SIDE, SIDE, 3), 90, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    unsafe = [veiler(image, nothing, True, None)[1].mean() for _ in range(100)]
    safe = [veiler(image, nothing, False, objects() > 0)[1].mean() for _ in range(100)]
    assert np.mean(unsafe) < 0.1
    assert max(safe) > 0.3


def test_outlines_of_unsafe_things_are_laid_over_safe_images_too():
    veiler = Veiler(SIDE, SIDE, rng=np.random.default_rng(0), share=1.0, partitions=20)
    image, nothing = np.full((SIDE, SIDE, 3), 90, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    veils = [veiler(image, nothing, False, objects() > 0)[1] for _ in range(60)]
    assert any((veil[objects() > 0]).all() and veil.mean() < 0.3 for veil in veils)
