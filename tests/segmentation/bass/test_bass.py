import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab
from skimage.segmentation import slic

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.metrics import explained_variation
from counterveil.segmentation import region_scores
from counterveil.segmentation.bass import Bass
from counterveil.segmentation.bass.initialisation import (
    average_pool,
    downscale_factor,
    pixel_features,
    prime_factors,
)
from tests.segmentation.checking import assert_partition, noise, photograph

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 30),
        "count": st.integers(1, 60),
        "downscale": st.integers(1, 5),
        "refine": st.booleans(),
        "iterations": st.integers(1, 7),
        "acceptance": st.sampled_from(["marginal", "hastings"]),
        "guidance_weight": st.sampled_from([0.0, 1.0, 3.0]),
        "potts": st.sampled_from([0.0, 0.5, 4.0]),
    },
)


@given(OPTIONS, st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_any_options_give_the_same_partition_each_time(options, height, width, seed):
    image = noise(height, width, seed) // np.uint8(1 + seed)
    guidance = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    bass = Bass(**options)
    first = bass(image, guidance=guidance, rng=np.random.default_rng(seed))
    assert_partition(first, (height, width))
    again = bass(image, guidance=guidance, rng=np.random.default_rng(seed))
    assert np.array_equal(first, again)


@given(st.integers(1, 90), st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_the_requested_number_of_regions_is_met(count, height, width, seed):
    labels = Bass(count=count)(noise(height, width, seed))
    assert labels.max() + 1 == min(count, height * width)


@pytest.mark.parametrize("count", [25, 100, 400])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_it_explains_more_than_slic_with_the_same_number_of_regions(name, count):
    image = photograph(name, 160)
    for compactness in (1.0, 10.0):
        theirs = slic(image, n_segments=count, compactness=compactness, start_label=0)
        ours = Bass(count=int(theirs.max()) + 1)(image)
        assert ours.max() == theirs.max()
        for seen in (image, rgb2lab(image)):
            assert explained_variation(seen, ours) >= explained_variation(seen, theirs)


@pytest.mark.parametrize("side", [224, 448])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_by_default_there_are_10_to_40_regions_at_any_image_size(name, side):
    assert 10 <= Bass()(photograph(name, side)).max() + 1 <= 40


def test_small_regions_follow_detail():
    image = photograph("coffee", 224)
    assert 300 <= Bass(size=8)(image).max() + 1 <= 900


def test_flat_areas_get_few_regions_and_detailed_ones_many():
    image = np.full((96, 192, 3), 90, dtype=np.uint8)
    image[:, 96:] = np.kron(noise(12, 12), np.ones((8, 8, 1), dtype=np.uint8))
    labels = Bass(size=12)(image)
    flat, busy = (len(np.unique(labels[:, part])) for part in (slice(0, 90), slice(102, 192)))
    assert busy > 4 * flat


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("options", [{}, {"size": 10}, {"count": 40}], ids=str)
def test_regions_are_finer_where_guidance_is_high(options, scale):
    image = photograph("astronaut", 200)
    guidance = np.zeros((200, 200), dtype=np.float32)
    guidance[60:140, 60:140] = scale

    def in_the_middle(labels):
        return len(np.unique(labels[60:140, 60:140]))

    guided = Bass(**options)(image, guidance=guidance)
    assert in_the_middle(guided) > 1.2 * in_the_middle(Bass(**options)(image))
    ignored = Bass(**options, guidance_weight=0.0)(image, guidance=guidance)
    assert np.array_equal(ignored, Bass(**options)(image))


def test_a_flat_area_with_high_guidance_is_split_too():
    image = np.full((160, 160, 3), 90, dtype=np.uint8)
    guidance = np.zeros((160, 160), dtype=np.float32)
    guidance[:80] = 3.0
    labels = Bass(size=20)(image, guidance=guidance)
    assert len(np.unique(labels[:80])) > 2 * len(np.unique(labels[80:]))


def test_the_initial_count_does_not_depend_on_the_image_size():
    for side in (120, 200):
        image = photograph("astronaut", side)
        assert np.array_equal(Bass(initial_count=25)(image), Bass(size=side / 5)(image))
        assert np.array_equal(Bass(initial_count=25, size=20)(image), Bass(size=20)(image))


def test_zero_guidance_changes_nothing():
    image = photograph("coffee", 100)
    assert np.array_equal(
        Bass()(image, guidance=np.zeros(image.shape[:2], np.float32)), Bass()(image)
    )


def test_refinement_follows_pixels_instead_of_blocks():
    image = photograph("rocket", 160)
    blocks = Bass(size=32, downscale=4, refine=False)(image)
    assert all(
        len(np.unique(blocks[y : y + 4, x : x + 4])) == 1 for y in range(0, 160, 4) for x in (0, 80)
    )
    fine = Bass(size=32, downscale=4)(image)
    assert fine.max() == blocks.max()
    assert explained_variation(image, fine) > explained_variation(image, blocks)


def test_the_published_setting_gives_blocks_of_four():
    labels = Bass.published()(photograph("astronaut", 224))
    assert 10 <= labels.max() + 1 <= 80
    assert np.array_equal(labels[::4, ::4].repeat(4, axis=0).repeat(4, axis=1), labels)


def test_hastings_acceptance_needs_rng_and_draws_from_it():
    image = photograph("chelsea", 120)
    with pytest.raises(UsageError, match="pass rng"):
        Bass(acceptance="hastings")(image)
    rng = np.random.default_rng(0)
    Bass(acceptance="hastings")(image, rng=rng)
    assert rng.random() != np.random.default_rng(0).random()


def test_marginal_acceptance_draws_nothing():
    rng = np.random.default_rng(0)
    Bass()(photograph("chelsea", 120), rng=rng)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be at least 1"),
        ({"count": 0}, "count must be at least 1"),
        ({"downscale": 0}, "downscale must be at least 1"),
        ({"color_std": 0}, "color_std must be positive"),
        ({"alpha": float("nan")}, "alpha must be positive"),
        ({"potts": -1}, "potts must not be negative"),
        ({"acceptance": "always"}, "marginal or hastings"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Bass(**options)


def test_equal_parameters_compare_equal():
    assert Bass(size=8) == dataclasses.replace(Bass(), size=8)


def test_colours_are_cielab():
    image = photograph("coffee", 90)
    extremes = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    for seen in (image, extremes):
        np.testing.assert_allclose(pixel_features(seen)[..., :3] * 100, rgb2lab(seen), atol=0.02)


def test_guidance_is_scaled_to_its_99th_percentile():
    guidance = np.linspace(0, 8, 10000, dtype=np.float32).reshape(100, 100)
    seen = pixel_features(noise(100, 100), guidance)[..., 3]
    assert seen.max() == 1
    np.testing.assert_allclose(seen[:90], guidance[:90] / (0.99 * 8), rtol=1e-3)


def test_blocks_at_the_edge_average_the_pixels_they_have():
    features = np.random.default_rng(0).random((5, 7, 4)).astype(np.float32)
    low = average_pool(features, 3)
    assert low.shape == (2, 3, 4)
    np.testing.assert_allclose(low[0, 0], features[:3, :3].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(low[1, 2], features[3:, 6:].mean(axis=(0, 1)), rtol=1e-5)


def test_the_downscale_factor_keeps_regions_wide_enough():
    assert downscale_factor(45, 224, 224) == 4
    assert downscale_factor(11, 224, 224) == 1
    assert downscale_factor(800, 4000, 3000) == 128
    assert downscale_factor(800, 10, 3000) == 1
    assert prime_factors(12) == [2, 2, 3]
    assert prime_factors(1) == []


def test_region_scores_add_up_to_the_attribution_of_the_image():
    image = photograph("rocket", 100)
    attribution_map = image[..., 0].astype(np.float32)
    labels = Bass()(image)
    assert np.isclose(
        np.bincount(labels.ravel()) @ region_scores(attribution_map, labels),
        attribution_map.sum(),
        rtol=1e-4,
    )


def test_many_images_have_the_labels_of_each_alone():
    images = [
        photograph("coffee", 90),
        np.zeros((1, 1, 3), np.uint8),
        photograph("rocket", 90)[:, ::-1],
    ]
    guidance = [image.mean(axis=-1) if n % 2 else None for n, image in enumerate(images)]
    for bass in (Bass(), Bass(size=9), Bass(count=1), Bass.published()):
        expected = [bass(image, guidance=one) for image, one in zip(images, guidance, strict=True)]
        for found, labels in zip(bass.many(images, guidance=guidance), expected, strict=True):
            assert np.array_equal(found, labels)
    assert Bass().many([]) == []


def test_many_refuses_malformed_input():
    image = noise(8, 8)
    with pytest.raises(UsageError, match="2 images and 1 guidance maps"):
        Bass().many([image, image], guidance=[None])
    with pytest.raises(UsageError, match="pass rng with one image"):
        Bass(acceptance="hastings").many([image])
    with pytest.raises(UsageError, match="expected a uint8 image"):
        Bass().many([image, image[..., 0]])
    with pytest.raises(UsageError, match="does not fit"):
        Bass().many([image], guidance=[np.ones((4, 8))])
