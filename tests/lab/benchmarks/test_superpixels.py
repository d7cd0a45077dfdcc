import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.superpixels import (
    achievable_accuracy,
    boundary_recall,
    compactness,
    explained_variation,
    undersegmentation_error,
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
    assert achievable_accuracy(refinement_labels, truth) == 1
    assert undersegmentation_error(refinement_labels, truth) == 0
    assert boundary_recall(refinement_labels, truth) == 1


def test_a_region_across_a_true_boundary_by_hand():
    found = np.repeat([[0, 0, 0, 0, 1, 1]], 4, axis=0)  # region 0 leaks one column of four
    assert achievable_accuracy(found, HALVES) == pytest.approx(20 / 24)
    # Truth 0 meets found 0 (12 in, 4 out); truth 1 meets found 0 (4 in, 12 out) and found 1.
    assert undersegmentation_error(found, HALVES) == pytest.approx((4 + 4 + 0) / 24)


def test_recall_reaches_as_far_as_the_radius():
    found = np.repeat([[0, 0, 0, 0, 1, 1]], 4, axis=0)
    assert boundary_recall(found, HALVES) == 0
    assert boundary_recall(found, HALVES, radius=1) == 1
    assert boundary_recall(HALVES * 0, HALVES, radius=3) == 0
    assert boundary_recall(found, HALVES * 0) == 1


def test_the_radius_grows_with_the_image():
    truth, found = np.zeros((2, 800, 600), dtype=int)  # diagonal 1000: reach 2
    truth[:, 300:] = found[:, 302:] = 1
    assert boundary_recall(found, truth) == 1
    found[:, 302] = 0
    assert boundary_recall(found, truth) == 0


def test_squares_are_rounder_than_strips():
    assert compactness(np.zeros((6, 6), dtype=int)) == pytest.approx(math.pi / 4)
    strips = np.repeat(np.arange(6)[None], 6, axis=0)
    assert compactness(strips) == pytest.approx(4 * math.pi * 6 / 14**2)


@pytest.mark.parametrize("measure", [achievable_accuracy, boundary_recall, undersegmentation_error])
def test_shapes_must_agree(measure):
    with pytest.raises(UsageError, match="shapes must agree"):
        measure(HALVES, HALVES[:2])
