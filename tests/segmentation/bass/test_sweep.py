import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.segmentation.bass.colour import features
from counterveil.segmentation.bass.hexagons import honeycomb
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.partition import Partition
from counterveil.segmentation.bass.pixels import CompiledPixels
from counterveil.segmentation.bass.statistics import gaussians, sum_up
from counterveil.segmentation.bass.sweep import sweep
from counterveil.segmentation.bass.topology import NEIGHBOURS, SIMPLE
from tests.segmentation.checking import assert_partition, noise, photograph


def fit(region, x, y, pixel, weight):
    region = region.astype(np.float64)
    place = np.array([x - region[3], y - region[4]])
    inverse = np.array([[region[5], region[6] / 2], [region[6] / 2, region[7]]])
    colour = pixel[:3].astype(np.float64) * weight - region[:3]
    return -(colour @ colour) - place @ inverse @ place - region[8]


def slow_sweep(labels, planes, parameters, weight, potts):
    """The definition, pixel by pixel, in double precision."""
    labels = np.pad(labels, 1, constant_values=-1)
    height, width = planes.shape[:2]
    for parity in range(4):
        for y in range(parity // 2, height, 2):
            for x in range(parity % 2, width, 2):
                around = [labels[y + 1 + dy, x + 1 + dx] for dy, dx in NEIGHBOURS]
                own = labels[y + 1, x + 1]
                candidates = {own} | {around[i] for i in (1, 3, 4, 6)} - {-1}
                same = {k: [a == k for a in around] for k in candidates}
                if not all(SIMPLE[sum(s << i for i, s in enumerate(same[k]))] for k in candidates):
                    continue
                scores = {
                    k: fit(parameters[k], x, y, planes[y, x], weight) - potts * (8 - sum(same[k]))
                    for k in candidates
                }
                labels[y + 1, x + 1] = max(candidates, key=scores.get)
    return labels[1:-1, 1:-1]


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_is_its_definition_edges_included(seed):
    image = noise(13, 11, seed) // 8 + np.uint8(100)
    planes = features(image)
    labels = honeycomb(13, 11, 4)
    partition = Partition(CompiledPixels(planes, labels), Model())
    parameters = gaussians(partition.sums, partition.area, Model().weight ** 2)
    expected = slow_sweep(labels, planes, parameters, Model().weight, 0.5)
    due = np.ones(partition.pixels.padded.shape, np.uint8)
    held = (planes, parameters, partition.sums, SIMPLE, Model().weight, 0.5)
    moved = sweep(partition.pixels.padded, *held, due)
    assert np.array_equal(partition.pixels.labels, expected)
    assert moved >= (expected != labels).sum() > 0
    edge = np.ones(labels.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    assert (expected != labels)[edge].any(), "no outermost pixel took part"


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 8), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_sweeps_keep_every_region_in_one_piece_and_the_sums_right(height, width, size, seed):
    planes = features(noise(height, width, seed))
    partition = Partition(CompiledPixels(planes, honeycomb(height, width, size)), Model())
    before = partition.count
    for _ in range(3):
        partition.settle(2)
    assert_partition(partition.pixels.labels, (height, width))
    assert partition.pixels.labels.max() + 1 == before == partition.count
    np.testing.assert_allclose(
        partition.sums, sum_up(partition.pixels.labels, planes, before), rtol=1e-9, atol=1e-6
    )


def test_sweeps_bring_borders_to_the_edges_of_what_is_seen():
    image = np.zeros((24, 24, 3), dtype=np.uint8)
    image[:, 14:] = 255
    labels = np.zeros((24, 24), dtype=np.int32)
    labels[:, 11:] = 1
    partition = Partition(CompiledPixels(features(image), labels), Model())
    for _ in range(6):
        partition.settle(2)
    assert np.array_equal(partition.pixels.labels, (image[:, :, 0] > 0).astype(np.int32))


def test_the_covariance_is_the_posterior_mean():
    planes = features(photograph("coffee", 40))
    labels = honeycomb(*planes.shape[:2], 12)
    partition = Partition(CompiledPixels(planes, labels), Model())
    found = gaussians(partition.sums, partition.area, 9.0)
    for k in range(partition.count):
        y, x = np.nonzero(labels == k)
        place = np.stack([x, y], axis=1).astype(float)
        offset = place - place.mean(axis=0)
        a = partition.area[k]
        scatter = offset.T @ offset if len(x) > 3 else 0
        covariance = (a**2 * np.eye(2) + scatter) / (len(x) + 50 * a - 3)
        inverse = np.linalg.inv(covariance)
        np.testing.assert_allclose(found[k, 3:5], place.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(
            found[k, 5:8], [inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]], rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(found[k, 8], np.log(np.linalg.det(covariance)), rtol=1e-4)
        np.testing.assert_allclose(found[k, :3], 3 * planes[labels == k, :3].mean(0), rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_further_sweep_passes_over_would_not_have_moved(seed):
    planes = features(noise(40, 33, seed) // 4)
    one, other = (
        Partition(CompiledPixels(planes, honeycomb(40, 33, 5)), Model()) for _ in range(2)
    )
    parameters = gaussians(one.sums, one.area, Model().weight ** 2)
    due = np.ones(one.pixels.padded.shape, np.uint8)
    looked = []
    for _ in range(6):
        looked.append(int(due[1:-1, 1:-1].sum()))
        for partition, held in ((one, due), (other, np.ones_like(due))):
            sweep(partition.pixels.padded, planes, parameters, partition.sums, SIMPLE,
                  Model().weight, 0.5, held)  # fmt: skip
        assert np.array_equal(one.pixels.labels, other.pixels.labels)
        assert np.array_equal(one.sums, other.sums)
    assert looked[0] == 40 * 33
    assert looked[-1] < looked[1] < looked[0]
