import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.segmentation.bass.colour import features
from counterveil.segmentation.bass.divide import halves
from counterveil.segmentation.bass.hexagons import honeycomb
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.partition import Partition
from counterveil.segmentation.bass.pixels import CompiledPixels
from counterveil.segmentation.bass.statistics import sum_up
from counterveil.segmentation.connectivity import connect
from tests.segmentation.checking import assert_partition, noise


@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_halves_of_any_region_are_connected_and_complete(height, width, upright, seed):
    rng = np.random.default_rng(seed)
    labels = connect(rng.integers(0, 2, (height, width)))
    sums = sum_up(labels, features(noise(height, width)), int(labels.max()) + 1)
    half = halves(labels, sums, upright=upright)
    assert set(np.unique(half)) <= {1, 2}
    both = connect(labels * 2 + half)
    assert both.max() + 1 == len(np.unique(labels * 2 + half)), "a half is in pieces"


def test_a_thin_bent_region_is_cut_near_its_middle():
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[1, 1:8] = labels[1:8, 7] = 1  # one pixel wide; its centre of mass lies outside it
    parts = connect(labels)
    bent = parts[1, 1]
    sums = sum_up(parts, features(noise(9, 9)), int(parts.max()) + 1)
    half = halves(parts, sums, upright=False)
    sizes = np.bincount(half[parts == bent], minlength=3)[1:]
    assert sizes.min() >= 4, "the cut is nowhere near the middle"


@pytest.mark.parametrize("shape", [(10, 40), (40, 10)])
def test_a_merge_joins_true_neighbours_on_images_that_are_not_square(shape):
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[: shape[0] // 2, : shape[1] // 2] = (250, 20, 20)
    image[shape[0] // 2 :, shape[1] // 2 :] = (20, 20, 250)
    partition = Partition(CompiledPixels(features(image), honeycomb(*shape, 5)), Model())
    for _ in range(4):
        partition.settle(3)
    while partition.merge():
        assert_partition(partition.pixels.labels, shape)
        np.testing.assert_allclose(
            partition.sums,
            sum_up(partition.pixels.labels, partition.pixels.planes, partition.count),
            atol=1e-6,
        )
    assert partition.count == 4


@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_splits_and_merges_keep_partition_sums_and_number(height, width, most, seed):
    planes = features(noise(height, width, seed))
    partition = Partition(CompiledPixels(planes, honeycomb(height, width, 4)), Model())
    before = partition.count
    grown = partition.split(prices=np.full(most, -np.inf))
    assert grown <= most
    assert partition.count == before + grown
    assert_partition(partition.pixels.labels, (height, width))
    wanted = min(most, partition.count - 1)
    assert partition.merge(most=wanted) == wanted
    assert partition.count == before + grown - wanted
    assert_partition(partition.pixels.labels, (height, width))
    np.testing.assert_allclose(
        partition.sums,
        sum_up(partition.pixels.labels, planes, partition.count),
        rtol=1e-9,
        atol=1e-6,
    )


def test_the_first_merge_is_of_the_most_alike():
    image = np.zeros((8, 32, 3), dtype=np.uint8)
    for column, level in enumerate((10, 200, 90, 95)):
        image[:, 8 * column : 8 * column + 8] = level
    labels = np.repeat(np.arange(4, dtype=np.int32), 8)[None].repeat(8, axis=0)
    partition = Partition(CompiledPixels(features(image), labels), Model())
    assert partition.merge(most=1) == 1
    assert partition.pixels.labels[0, ::8].tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("size", [2.5, 6, 15, 30])
def test_the_honeycomb_has_cells_of_the_area_asked_for(size):
    labels = honeycomb(120, 170, size)
    assert_partition(labels, (120, 170))
    areas = np.bincount(labels.ravel())
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert np.delete(areas, np.unique(rim)).mean() == pytest.approx(size**2, rel=0.05)
