import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.metrics import (
    explained_variation,
    mask_overlap,
)

HALVES = np.repeat([[0, 0, 0, 1, 1, 1]], 4, axis=0)
LABELS = arrays(np.int32, (5, 6), elements=st.integers(0, 4))


def test_regions_of_one_colour_each_explain_everything():
    assert explained_variation(HALVES[..., None] * 1.0, HALVES) == 1
    assert explained_variation(HALVES[..., None] * 1.0, HALVES * 0) == 0
    assert explained_variation(np.ones((4, 6, 3)), HALVES) == 1


def test_explained_variation_by_hand():
    image = np.array([[0.0, 2.0, 4.0, 6.0]])[..., None]  # variance about 3: 9 + 1 + 1 + 9
    labels = np.array([[0, 0, 1, 1]])  # means 1 and 5: 4 * 4 of 20
    assert explained_variation(image, labels) == pytest.approx(16 / 20)


@given(LABELS, LABELS)
def test_splitting_regions_never_worsens_what_they_can_do(labels, truth):
    refinement_labels = labels * 5 + truth
    image = np.random.default_rng(0).random((5, 6, 3))
    assert (
        explained_variation(image, refinement_labels) >= explained_variation(image, labels) - 1e-12
    )


def test_shapes_must_agree():
    with pytest.raises(UsageError, match="do not fit the image"):
        explained_variation(np.zeros((4, 6, 3)), HALVES[:2])


def masks(veil, truth):
    grid = np.arange(100).reshape(10, 10)
    return mask_overlap(np.isin(grid, veil), np.isin(grid, truth))


def test_an_overlap_is_counted():
    found = masks(range(20), range(10, 40))
    assert found.coverage == pytest.approx(10 / 30)
    assert found.precision == pytest.approx(10 / 20)
    assert found.iou == pytest.approx(10 / 40)
    assert found.area_ratio == pytest.approx(20 / 30)
    assert found.area == pytest.approx(0.2)


def test_an_empty_mask_covers_nothing():
    assert masks([], range(5)).coverage == masks([], range(5)).precision == 0
