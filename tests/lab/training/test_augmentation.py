"""Mask augmentation hides what its targets say is hidden; new backgrounds leave objects alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from counterveil.lab.training.augmentation import (
    HIDDEN_SHARE,
    VISIBLE_SHARE,
    BackgroundAugmentation,
    MaskAugmentation,
    localization_target,
    visibility_target,
    visible_shares,
)

SIDE = 48
GREY = np.full((SIDE, SIDE, 3), 90, np.uint8)
NO_OBJECTS = np.zeros((SIDE, SIDE), np.uint8)
HEIGHT, WIDTH = 40, 56


def instances():
    """Two objects of 100 and 144 pixels."""
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    numbers[4:14, 4:14] = 1
    numbers[30:42, 28:40] = 2
    return numbers


def augmentation(seed=0, partitions=20):
    rng = np.random.default_rng(seed)
    return MaskAugmentation(SIDE, SIDE, rng=rng, rate=1.0, partitions=partitions)


def test_target_falls_with_the_visible_share():
    assert visibility_target(0) == visibility_target(HIDDEN_SHARE) == 0
    assert visibility_target(VISIBLE_SHARE) == visibility_target(1) == 1
    assert 0 < visibility_target((HIDDEN_SHARE + VISIBLE_SHARE) / 2) < 1


def test_visible_shares():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4:9, 4:14] = True
    assert visible_shares(instances(), mask).tolist() == [0, 0.5, 1]


def test_localization_target_is_zero_where_veiled():
    mask = instances() == 2
    target = localization_target(instances(), mask)
    assert (target[instances() == 1] == 1).all()
    assert (target[mask] == 0).all()
    assert localization_target(instances(), instances() > 0).max() == 0


@pytest.mark.parametrize("seed", range(20))
def test_only_masked_pixels_change(seed):
    image = np.random.default_rng(seed).integers(1, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    veiled, mask = augmentation(seed, partitions=3)(image, instances(), True, None)
    assert (veiled[~mask] == image[~mask]).all()
    assert len(np.unique(veiled[mask].reshape(-1, 3), axis=0)) <= 1


def test_unsafe_objects_are_veiled_entirely_partly_and_not_at_all():
    augment = augmentation()
    targets = []
    for _ in range(200):
        mask = augment(GREY, instances(), True, None)[1]
        targets.append(localization_target(instances(), mask).max())
    targets = np.array(targets)
    assert np.mean(targets == 0) > 0.1
    assert np.mean(targets == 1) > 0.3
    assert np.mean((targets > 0) & (targets < 1)) > 0.02


def test_unsafe_images_without_instance_maps_get_small_masks_only():
    augment, decoy = augmentation(), instances() > 0
    unsafe = [augment(GREY, NO_OBJECTS, True, None)[1].mean() for _ in range(100)]
    safe = [augment(GREY, NO_OBJECTS, False, decoy)[1].mean() for _ in range(100)]
    assert np.mean(unsafe) < 0.1
    assert max(safe) > 0.3


def test_safe_images_are_veiled_in_the_shape_of_unsafe_objects_too():
    augment, decoy = augmentation(), instances() > 0
    masks = [augment(GREY, NO_OBJECTS, False, decoy)[1] for _ in range(60)]
    assert any(mask[decoy].all() and mask.mean() < 0.3 for mask in masks)


def background_augmentation():
    return BackgroundAugmentation(HEIGHT, WIDTH, rng=np.random.default_rng(0), count=12)


@pytest.fixture(scope="module")
def backgrounds():
    return background_augmentation()


def image_with_object():
    objects = np.zeros((HEIGHT, WIDTH), bool)
    objects[10:20, 12:30] = True
    image = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    image[objects] = (200, 30, 60)
    return image, objects


def test_objects_are_kept_and_the_background_is_replaced(backgrounds):
    image, objects = image_with_object()
    rng = np.random.default_rng(1)
    outside = ~binary_dilation(objects)
    for _ in range(20):
        changed = backgrounds(image, objects, rng)
        assert changed.dtype == np.uint8
        assert (changed[objects] == image[objects]).all()
        assert (changed[outside] != image[outside]).any(axis=1).mean() > 0.8


def test_backgrounds_differ(backgrounds):
    image, objects = image_with_object()
    rng = np.random.default_rng(1)
    changed = [backgrounds(image, objects, rng) for _ in range(40)]
    means = {tuple(each.reshape(-1, 3).mean(axis=0).round(2)) for each in changed}
    assert len(means) > 6


def test_the_same_seed_gives_the_same_background():
    first, second = (
        background_augmentation()(*image_with_object(), np.random.default_rng(1)) for _ in range(2)
    )
    assert (first == second).all()
