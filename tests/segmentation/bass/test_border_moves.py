import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from counterveil.segmentation.bass.border_moves import (
    NEIGHBOURS,
    SIMPLE,
    is_simple,
    sufficient_statistics,
    sweep,
)
from counterveil.segmentation.bass.initialisation import hexagonal_grid, pixel_features
from counterveil.segmentation.bass.model import (
    Hyperparameters,
    region_parameters,
)
from counterveil.segmentation.bass.partition import Partition
from tests.segmentation.checking import CROSS, assert_partition, noise, photograph

SQRT_PRECISION = Hyperparameters().sqrt_precision


def log_likelihood(region, x, y, pixel, weight):
    region = region.astype(np.float64)
    place = np.array([x - region[3], y - region[4]])
    inverse = np.array([[region[5], region[6] / 2], [region[6] / 2, region[7]]])
    colour = pixel[:3].astype(np.float64) * weight - region[:3]
    return -(colour @ colour) - place @ inverse @ place - region[8]


def reference_sweep(labels, features, parameters, weight, potts):
    """The definition of a sweep, pixel by pixel, in double precision."""
    labels = np.pad(labels, 1, constant_values=-1)
    height, width = features.shape[:2]
    for parity in range(4):
        for y in range(parity // 2, height, 2):
            for x in range(parity % 2, width, 2):
                neighbours = [labels[y + 1 + dy, x + 1 + dx] for dy, dx in NEIGHBOURS]
                own = labels[y + 1, x + 1]
                candidates = {own} | {neighbours[i] for i in (1, 3, 4, 6)} - {-1}
                same = {k: [a == k for a in neighbours] for k in candidates}
                if not all(SIMPLE[sum(s << i for i, s in enumerate(same[k]))] for k in candidates):
                    continue
                scores = {
                    k: log_likelihood(parameters[k], x, y, features[y, x], weight)
                    - potts * (8 - sum(same[k]))
                    for k in candidates
                }
                labels[y + 1, x + 1] = max(candidates, key=scores.get)
    return labels[1:-1, 1:-1]


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_follows_its_definition_outermost_pixels_included(seed):
    image = noise(13, 11, seed) // 8 + np.uint8(100)
    features = pixel_features(image)
    labels = hexagonal_grid(13, 11, 4)
    partition = Partition(features, labels, Hyperparameters())
    parameters = region_parameters(partition.statistics, partition.prior_area, SQRT_PRECISION**2)
    expected = reference_sweep(labels, features, parameters, SQRT_PRECISION, 0.5)
    active = np.ones(partition.padded.shape, np.uint8)
    fixed = (features, parameters, partition.statistics, SQRT_PRECISION, 0.5)
    moves = sweep(partition.padded, *fixed, active)
    assert np.array_equal(partition.labels, expected)
    assert moves >= (expected != labels).sum() > 0
    edge = np.ones(labels.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    assert (expected != labels)[edge].any(), "no outermost pixel moved"


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 8), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_sweeps_keep_regions_connected_and_statistics_exact(height, width, size, seed):
    features = pixel_features(noise(height, width, seed))
    partition = Partition(features, hexagonal_grid(height, width, size), Hyperparameters())
    before = partition.count
    for _ in range(3):
        partition.sweep(2)
    assert_partition(partition.labels, (height, width))
    assert partition.labels.max() + 1 == before == partition.count
    np.testing.assert_allclose(
        partition.statistics,
        sufficient_statistics(partition.labels, features, before),
        rtol=1e-9,
        atol=1e-6,
    )


def test_sweeps_move_borders_to_the_edges_of_the_image_content():
    image = np.zeros((24, 24, 3), dtype=np.uint8)
    image[:, 14:] = 255
    labels = np.zeros((24, 24), dtype=np.int32)
    labels[:, 11:] = 1
    partition = Partition(pixel_features(image), labels, Hyperparameters())
    for _ in range(6):
        partition.sweep(2)
    assert np.array_equal(partition.labels, (image[:, :, 0] > 0).astype(np.int32))


def test_the_covariance_is_the_posterior_mean():
    features = pixel_features(photograph("coffee", 40))
    labels = hexagonal_grid(*features.shape[:2], 12)
    partition = Partition(features, labels, Hyperparameters())
    found = region_parameters(partition.statistics, partition.prior_area, 9.0)
    for k in range(partition.count):
        y, x = np.nonzero(labels == k)
        place = np.stack([x, y], axis=1).astype(float)
        offset = place - place.mean(axis=0)
        a = partition.prior_area[k]
        scatter = offset.T @ offset if len(x) > 3 else 0
        covariance = (a**2 * np.eye(2) + scatter) / (len(x) + 50 * a - 3)
        inverse = np.linalg.inv(covariance)
        np.testing.assert_allclose(found[k, 3:5], place.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(
            found[k, 5:8], [inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]], rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(found[k, 8], np.log(np.linalg.det(covariance)), rtol=1e-4)
        np.testing.assert_allclose(found[k, :3], 3 * features[labels == k, :3].mean(0), rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_pixel_that_a_further_sweep_skips_would_not_have_moved(seed):
    features = pixel_features(noise(40, 33, seed) // 4)
    one, other = (
        Partition(features, hexagonal_grid(40, 33, 5), Hyperparameters()) for _ in range(2)
    )
    parameters = region_parameters(one.statistics, one.prior_area, SQRT_PRECISION**2)
    active = np.ones(one.padded.shape, np.uint8)
    active_pixels = []
    for _ in range(6):
        active_pixels.append(int(active[1:-1, 1:-1].sum()))
        for partition, mask in ((one, active), (other, np.ones_like(active))):
            sweep(partition.padded, features, parameters, partition.statistics,
                  SQRT_PRECISION, 0.5, mask)  # fmt: skip
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.statistics, other.statistics)
    assert active_pixels[0] == 40 * 33
    assert active_pixels[-1] < active_pixels[1] < active_pixels[0]


def neighbourhood(pattern, centre):
    square = np.full((3, 3), centre, dtype=bool)
    for bit, (row, column) in enumerate(NEIGHBOURS):
        square[row + 1, column + 1] = bool(pattern >> bit & 1)
    return square


def components(square):
    return ndimage.label(square, structure=CROSS)[1]


def test_48_patterns_are_simple():
    assert SIMPLE.sum() == 48


@pytest.mark.parametrize("pattern", range(256))
def test_the_table_follows_the_definition(pattern):
    same, other = neighbourhood(pattern, False), ~neighbourhood(pattern, True)
    nearest = [(0, 1), (1, 0), (1, 2), (2, 1)]
    expected = (
        components(same) == 1
        and components(other) == 1
        and any(same[at] for at in nearest)
        and any(other[at] for at in nearest)
    )
    assert SIMPLE[pattern] == expected
    assert is_simple(np.array([pattern >> bit & 1 for bit in range(8)], dtype=bool)) == expected


@pytest.mark.parametrize("pattern", np.flatnonzero(SIMPLE))
def test_a_simple_point_keeps_the_number_of_components(pattern):
    with_pixel, without = neighbourhood(pattern, True), neighbourhood(pattern, False)
    assert components(with_pixel) == components(without) == 1
    assert components(~with_pixel) == components(~without) == 1


def test_the_table_is_symmetric_under_rotation_reflection_and_inversion():
    def image_of(pattern, change):
        square = change(neighbourhood(pattern, False))
        return sum(
            int(square[row + 1, column + 1]) << bit for bit, (row, column) in enumerate(NEIGHBOURS)
        )

    for change in (np.rot90, np.fliplr, np.logical_not):
        assert all(SIMPLE[p] == SIMPLE[image_of(p, change)] for p in range(256))
