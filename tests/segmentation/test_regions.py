import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from counterveil.errors import UsageError
from counterveil.segmentation import connected_regions, region_scores
from counterveil.segmentation.regions import region_adjacency, relabel_sequential
from tests.segmentation.checking import assert_partition

LABEL_MAPS = arrays(
    np.int64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-2, 3)
)


@given(LABEL_MAPS)
@settings(max_examples=60, deadline=None)
def test_any_label_map_becomes_its_components(labels):
    found = connected_regions(labels)
    assert_partition(found, labels.shape)
    for k in range(found.max() + 1):
        assert len(np.unique(labels[found == k])) == 1, "a component mixes labels"
    assert np.array_equal(labels[1:] == labels[:-1], found[1:] == found[:-1])
    assert np.array_equal(labels[:, 1:] == labels[:, :-1], found[:, 1:] == found[:, :-1])


@given(LABEL_MAPS, st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_no_small_region_is_left_unless_it_is_the_only_one(labels, min_size):
    found = connected_regions(labels, min_size=min_size)
    assert_partition(found, labels.shape)
    sizes = np.bincount(found.ravel())
    assert len(sizes) == 1 or sizes.min() >= min_size


def test_a_small_region_merges_by_longest_border_or_nearest_colour():
    labels = np.array([[0, 0, 0, 2], [0, 1, 0, 2], [0, 2, 2, 2]])
    image = np.where(labels == 0, 0.0, 1.0)[..., None]
    assert (
        connected_regions(labels, min_size=2)[1, 1] == connected_regions(labels, min_size=2)[0, 0]
    )
    by_colour = connected_regions(labels, min_size=2, image=image)
    assert by_colour[1, 1] == by_colour[2, 3] != by_colour[0, 0]


def test_labels_are_numbered_in_reading_order():
    assert np.array_equal(
        relabel_sequential(np.array([[7, 7, 2], [0, 7, 2]])), [[0, 0, 1], [2, 0, 1]]
    )


def test_adjacency_counts_shared_edges_in_both_orders():
    edges = region_adjacency(np.array([[0, 0, 1], [2, 0, 1]]))
    assert edges.tolist() == [[0, 1, 2], [0, 2, 2], [1, 0, 2], [2, 0, 2]]


def test_an_empty_label_map_is_refused():
    with pytest.raises(UsageError, match="at least one pixel"):
        connected_regions(np.zeros((0, 3), dtype=np.int32))


def test_a_region_scores_its_mean_attribution():
    labels = np.array([[0, 0, 1], [0, 2, 1]], dtype=np.int32)
    attribution_map = np.array([[1, 2, 5], [3, 9, 6]], dtype=np.float32)
    scores = region_scores(attribution_map, labels)
    assert scores.tolist() == [2.0, 5.5, 9.0]
    assert scores.dtype == np.float64


@pytest.fixture
def unchecked():
    """Without the shape checks of the tests, which would raise first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_an_attribution_map_of_another_shape_is_refused(unchecked):
    with pytest.raises(UsageError, match="does not fit"):
        region_scores(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.int32))
