import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab
from skimage.segmentation import slic

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.superpixels import explained_variation
from counterveil.segmentation import region_scores
from counterveil.segmentation.bass import Bass
from counterveil.segmentation.bass.colour import features
from counterveil.segmentation.bass.scales import coarsening, factors, pool
from tests.segmentation.checking import assert_partition, noise, photograph

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 30),
        "count": st.integers(1, 60),
        "shrink": st.integers(1, 5),
        "refine": st.booleans(),
        "rounds": st.integers(1, 7),
        "acceptance": st.sampled_from(["marginal", "hastings"]),
        "guidance_weight": st.sampled_from([0.0, 1.0, 3.0]),
        "potts": st.sampled_from([0.0, 0.5, 4.0]),
    },
)


@given(OPTIONS, st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_any_options_give_a_partition_the_same_each_time(options, height, width, seed):
    image = noise(height, width, seed) // np.uint8(1 + seed)
    attribution_map = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    bass = Bass(**options)
    first = bass(image, guidance=attribution_map, rng=np.random.default_rng(seed))
    assert_partition(first, (height, width))
    again = bass(image, guidance=attribution_map, rng=np.random.default_rng(seed))
    assert np.array_equal(first, again)


@given(st.integers(1, 90), st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_the_number_of_regions_asked_for_is_met(count, height, width, seed):
    labels = Bass(count=count)(noise(height, width, seed))
    assert labels.max() + 1 == min(count, height * width)


@pytest.mark.parametrize("count", [25, 100, 400])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_it_explains_more_than_slic_with_as_many_regions(name, count):
    image = photograph(name, 160)
    for compactness in (1.0, 10.0):
        theirs = slic(image, n_segments=count, compactness=compactness, start_label=0)
        ours = Bass(count=int(theirs.max()) + 1)(image)
        assert ours.max() == theirs.max()
        for seen in (image, rgb2lab(image)):
            assert explained_variation(seen, ours) >= explained_variation(seen, theirs)


@pytest.mark.parametrize("side", [224, 448])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_by_default_regions_are_parts_of_objects_whatever_the_size_of_the_image(name, side):
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
def test_regions_are_finer_where_guidance_is_hot(options, scale):
    image = photograph("astronaut", 200)
    attribution_map = np.zeros((200, 200), dtype=np.float32)
    attribution_map[60:140, 60:140] = scale

    def in_the_middle(labels):
        return len(np.unique(labels[60:140, 60:140]))

    guided = Bass(**options)(image, guidance=attribution_map)
    assert in_the_middle(guided) > 1.2 * in_the_middle(Bass(**options)(image))
    ignored = Bass(**options, guidance_weight=0.0)(image, guidance=attribution_map)
    assert np.array_equal(ignored, Bass(**options)(image))


def test_a_hot_flat_area_is_split_too():
    image = np.full((160, 160, 3), 90, dtype=np.uint8)
    attribution_map = np.zeros((160, 160), dtype=np.float32)
    attribution_map[:80] = 3.0
    labels = Bass(size=20)(image, guidance=attribution_map)
    assert len(np.unique(labels[:80])) > 2 * len(np.unique(labels[80:]))


def test_start_is_a_number_of_regions_however_large_the_image_is():
    for side in (120, 200):
        image = photograph("astronaut", side)
        assert np.array_equal(Bass(start=25)(image), Bass(size=side / 5)(image))
        assert np.array_equal(Bass(start=25, size=20)(image), Bass(size=20)(image))


def test_guidance_that_is_zero_everywhere_changes_nothing():
    image = photograph("coffee", 100)
    assert np.array_equal(
        Bass()(image, guidance=np.zeros(image.shape[:2], np.float32)), Bass()(image)
    )


def test_refining_brings_blocks_to_pixels():
    image = photograph("rocket", 160)
    blocks = Bass(size=32, shrink=4, refine=False)(image)
    assert all(
        len(np.unique(blocks[y : y + 4, x : x + 4])) == 1 for y in range(0, 160, 4) for x in (0, 80)
    )
    fine = Bass(size=32, shrink=4)(image)
    assert fine.max() == blocks.max()
    assert explained_variation(image, fine) > explained_variation(image, blocks)


def test_the_published_setting_is_blocks_of_four():
    labels = Bass.published()(photograph("astronaut", 224))
    assert 10 <= labels.max() + 1 <= 80
    assert np.array_equal(labels[::4, ::4].repeat(4, axis=0).repeat(4, axis=1), labels)


def test_hastings_draws_from_rng_and_needs_it():
    image = photograph("chelsea", 120)
    with pytest.raises(UsageError, match="needs rng"):
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
        ({"shrink": 0}, "shrink must be at least 1"),
        ({"color_std": 0}, "color_std must be positive"),
        ({"alpha": float("nan")}, "alpha must be positive"),
        ({"potts": -1}, "potts must not be negative"),
        ({"acceptance": "always"}, "marginal or hastings"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Bass(**options)


def test_it_is_a_value():
    assert Bass(size=8) == dataclasses.replace(Bass(), size=8)


def test_colours_are_cielab():
    image = photograph("coffee", 90)
    extremes = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    for seen in (image, extremes):
        np.testing.assert_allclose(features(seen)[..., :3] * 100, rgb2lab(seen), atol=0.02)


def test_guidance_is_scaled_to_its_99th_percentile():
    attribution_map = np.linspace(0, 8, 10000, dtype=np.float32).reshape(100, 100)
    seen = features(noise(100, 100), attribution_map)[..., 3]
    assert seen.max() == 1
    np.testing.assert_allclose(seen[:90], attribution_map[:90] / (0.99 * 8), rtol=1e-3)


def test_pooling_averages_what_is_there():
    planes = np.random.default_rng(0).random((5, 7, 4)).astype(np.float32)
    low = pool(planes, 3)
    assert low.shape == (2, 3, 4)
    np.testing.assert_allclose(low[0, 0], planes[:3, :3].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(low[1, 2], planes[3:, 6:].mean(axis=(0, 1)), rtol=1e-5)


def test_the_scale_leaves_regions_room():
    assert coarsening(45, 224, 224) == 4
    assert coarsening(11, 224, 224) == 1
    assert coarsening(800, 4000, 3000) == 128
    assert coarsening(800, 10, 3000) == 1
    assert factors(12) == [2, 2, 3]
    assert factors(1) == []


def test_scores_of_a_region_lie_within_those_of_its_pixels():
    image = photograph("rocket", 100)
    attribution_map = image[..., 0].astype(np.float32)
    labels = Bass()(image)
    assert np.isclose(
        np.bincount(labels.ravel()) @ region_scores(attribution_map, labels),
        attribution_map.sum(),
        rtol=1e-4,
    )
