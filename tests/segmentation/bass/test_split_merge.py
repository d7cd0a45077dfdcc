import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.segmentation.bass.border_moves import sufficient_statistics
from counterveil.segmentation.bass.initialisation import hexagonal_grid, pixel_features
from counterveil.segmentation.bass.model import Hyperparameters
from counterveil.segmentation.bass.partition import Partition
from counterveil.segmentation.bass.split_merge import bisect
from counterveil.segmentation.regions import connected_regions
from tests.segmentation.checking import assert_partition, noise


@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_both_parts_of_any_region_are_connected(height, width, along_y, seed):
    rng = np.random.default_rng(seed)
    labels = connected_regions(rng.integers(0, 2, (height, width)))
    statistics = sufficient_statistics(
        labels, pixel_features(noise(height, width)), int(labels.max()) + 1
    )
    part = bisect(labels, statistics, along_y=along_y)
    assert set(np.unique(part)) <= {1, 2}
    parts = connected_regions(labels * 2 + part)
    assert parts.max() + 1 == len(np.unique(labels * 2 + part)), "a part is not connected"


def test_a_thin_bent_region_is_cut_near_its_middle():
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[1, 1:8] = labels[1:8, 7] = 1  # one pixel wide; its centre of mass lies outside it
    parts = connected_regions(labels)
    bent = parts[1, 1]
    statistics = sufficient_statistics(parts, pixel_features(noise(9, 9)), int(parts.max()) + 1)
    part = bisect(parts, statistics, along_y=False)
    sizes = np.bincount(part[parts == bent], minlength=3)[1:]
    assert sizes.min() >= 4, "the cut is nowhere near the middle"


@pytest.mark.parametrize("shape", [(10, 40), (40, 10)])
def test_a_merge_joins_true_neighbours_if_the_image_is_not_square(shape):
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[: shape[0] // 2, : shape[1] // 2] = (250, 20, 20)
    image[shape[0] // 2 :, shape[1] // 2 :] = (20, 20, 250)
    partition = Partition(pixel_features(image), hexagonal_grid(*shape, 5), Hyperparameters())
    for _ in range(4):
        partition.sweep(3)
    while partition.merge():
        assert_partition(partition.labels, shape)
        np.testing.assert_allclose(
            partition.statistics,
            sufficient_statistics(partition.labels, partition.features, partition.count),
            atol=1e-6,
        )
    assert partition.count == 4


@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_splits_and_merges_keep_partition_statistics_and_count(height, width, most, seed):
    features = pixel_features(noise(height, width, seed))
    partition = Partition(features, hexagonal_grid(height, width, 4), Hyperparameters())
    before = partition.count
    cuts = partition.split(min_gains=np.full(most, -np.inf))
    assert cuts <= most
    assert partition.count == before + cuts
    assert_partition(partition.labels, (height, width))
    merges = min(most, partition.count - 1)
    assert partition.merge(most=merges) == merges
    assert partition.count == before + cuts - merges
    assert_partition(partition.labels, (height, width))
    np.testing.assert_allclose(
        partition.statistics,
        sufficient_statistics(partition.labels, features, partition.count),
        rtol=1e-9,
        atol=1e-6,
    )


def test_the_first_merge_joins_the_most_similar_regions():
    image = np.zeros((8, 32, 3), dtype=np.uint8)
    for column, level in enumerate((10, 200, 90, 95)):
        image[:, 8 * column : 8 * column + 8] = level
    labels = np.repeat(np.arange(4, dtype=np.int32), 8)[None].repeat(8, axis=0)
    partition = Partition(pixel_features(image), labels, Hyperparameters())
    assert partition.merge(most=1) == 1
    assert partition.labels[0, ::8].tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("size", [2.5, 6, 15, 30])
def test_hexagons_have_the_requested_area(size):
    labels = hexagonal_grid(120, 170, size)
    assert_partition(labels, (120, 170))
    areas = np.bincount(labels.ravel())
    outermost = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert np.delete(areas, np.unique(outermost)).mean() == pytest.approx(size**2, rel=0.05)
