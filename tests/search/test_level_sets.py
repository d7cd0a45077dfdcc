"""Nested, tidy veils, and the search among them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from counterveil.fills import fill
from counterveil.search import MaskEvaluator, SearchProblem
from counterveil.search.level_sets import SIZES, STEP, LevelSets, LevelSetSearch
from counterveil.search.outline import MIN_PIECE, tidy
from tests.search.scores import VISIBLE, Counting, grid, picture

LABELS = grid(24, 24, side=4)
ROWS, COLUMNS = np.mgrid[:24, :24]


def peak(row=12.0, column=12.0, width=4.0):
    """Importance of the regions: a hill around one of them."""
    distance = (ROWS - row) ** 2 + (COLUMNS - column) ** 2
    return np.exp(-0.5 * distance / width**2).ravel()


def visible_share(thing):
    """The share of a thing that is not black."""
    return lambda images: (images[:, thing] > 0).all(axis=-1).mean(axis=1)


def search(score, importance, *, threshold=0.5, target=0.25, max_evaluations=512):
    problem = SearchProblem(LABELS, importance, threshold=threshold, target=target)
    evaluator = MaskEvaluator(
        picture(LABELS), score, fill("black"), max_evaluations=max_evaluations
    )
    return LevelSetSearch()(problem, evaluator)


def disc(radius, row=48, column=48):
    rows, columns = np.mgrid[:96, :96]
    inside: np.ndarray = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return inside


def test_veils_are_nested_and_have_the_sizes_that_every_image_has():
    veils = LevelSets(LABELS, peak())
    masks = [veils.mask(index) for index in range(len(veils.shares))]
    assert set(veils.shares) <= set(SIZES) and veils.shares[-1] == SIZES[-1]
    for smaller, larger in itertools.pairwise(masks):
        assert (smaller & ~larger).mean() < 0.002  # the outlines are smoothed, each by itself
    for mask, share in zip(masks, veils.shares, strict=True):
        assert mask.mean() == pytest.approx(share, rel=0.15)


def test_the_smallest_veil_covers_what_argues_twice_as_much_as_the_mean():
    importance = np.where((ROWS < 8) & (COLUMNS < 8), 1.0, 0.1).ravel()
    veils = LevelSets(LABELS, importance)
    thing = LABELS // 24 < 8
    thing &= LABELS % 24 < 8
    assert veils.mask(0)[thing].mean() > 0.85
    assert veils.shares[0] == pytest.approx(thing.mean(), rel=STEP - 1)


def test_the_smallest_veil_is_the_answer_where_it_suffices():
    counting = Counting(visible_share(disc(6)))
    result = search(counting, peak())
    assert result.outcome == "found"
    assert result.evaluations == counting.images == 2  # the image, and one veil
    assert (result.mask == LevelSets(LABELS, peak()).mask(0)).all()
    assert result.score_after < result.target == 0.25
    assert not result.irreducible
    assert result.depth == len(result.regions)


def test_it_grows_until_a_larger_thing_is_veiled():
    thing = disc(30)
    result = search(visible_share(thing), peak())
    assert result.outcome == "found" and result.score_after < 0.5
    assert thing.mean() / 2 < result.mask.mean() < thing.mean() * STEP
    assert label(result.mask)[1] == 1


def test_a_size_between_those_that_were_scored_is_found_by_the_line():
    veils = LevelSets(LABELS, peak(width=2))
    areas = [veils.mask(index).mean() for index in range(len(veils.shares))]

    def score(images):
        veiled = (images == 0).all(axis=-1).mean(axis=(1, 2))
        steps = np.interp(np.log(veiled + 1e-9), np.log(areas), np.arange(len(areas)))
        return 1 / (1 + np.exp(1.2 * (steps - 3.7)))  # 0.25 between the fifth size and the sixth

    counting = Counting(score)
    result = search(counting, peak(width=2))
    assert result.mask.mean() == pytest.approx(areas[5])
    # The image; sizes 0, 2, 4, 6 and 8; the answer.
    assert counting.images == result.evaluations == 7


def test_a_veil_that_only_passes_the_threshold_is_found_and_says_so():
    result = search(lambda images: 0.4 + 0.6 * visible_share(disc(20))(images), peak())
    assert result.outcome == "found"
    assert 0.25 <= result.score_after < result.target == 0.5


def test_without_any_flip_the_best_attempt_is_returned():
    result = search(lambda images: np.full(len(images), 0.9), peak())
    assert result.outcome == "not_found"
    assert result.score_after == pytest.approx(0.9)
    assert result.mask.any()


@given(seed=st.integers(0, 10_000), evaluations=st.integers(1, 30), radius=st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_the_result_is_true_under_any_budget_and_importance(seed, evaluations, radius):
    rng = np.random.default_rng(seed)
    counting = Counting(visible_share(disc(radius, *rng.integers(0, 96, 2))))
    result = search(counting, rng.random(576) ** 4, max_evaluations=evaluations)
    assert result.evaluations == counting.images <= evaluations + 1
    veiled = np.where(result.mask[..., None], 0, VISIBLE).astype(np.uint8)
    assert counting(veiled[None])[0] == pytest.approx(result.score_after)
    assert (result.outcome == "found") == (result.score_after < 0.5)


@given(seed=st.integers(0, 10_000), sigma=st.floats(0.5, 6))
@settings(max_examples=60, deadline=None)
def test_tidy_masks_have_no_holes_and_no_scraps(seed, sigma):
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    rng = np.random.default_rng(seed)
    mask = gaussian_filter(rng.standard_normal((80, 60)), sigma) > 0.01
    neat = tidy(mask)
    assert neat.any() == mask.any()
    pieces, count = label(neat)
    if count > 1:
        areas = np.bincount(pieces.ravel())[1:]
        assert areas.min() >= MIN_PIECE * areas.max()
    if count and (neat != mask).any():
        assert (binary_fill_holes(neat) == neat).all()


def test_tidying_keeps_what_is_tidy_and_what_touches_the_border():
    square = np.zeros((100, 100), bool)
    square[30:70, 30:70] = True
    assert (tidy(square) ^ square).mean() < 0.02  # its corners are rounded
    half = np.zeros((100, 100), bool)
    half[:, :50] = True
    assert (tidy(half) == half).all()
    speck = np.zeros((100, 100), bool)
    speck[5, 5] = True
    assert (tidy(speck) == speck).all()  # nothing else is veiled, so it stays
