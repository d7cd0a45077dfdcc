"""The promises every search keeps, held by every search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterveil.errors import UsageError
from counterveil.fills import fill
from counterveil.search import SEARCHES, MaskEvaluator, SearchProblem, make
from counterveil.search.minimal import close_gaps
from tests.search.scores import (
    VISIBLE,
    Counting,
    grid,
    needs_all,
    needs_any,
    picture,
    veiled_regions,
)

BLACK = fill("black")
OF_REGIONS = [name for name in SEARCHES if name != "levelsets"]
"""Searches whose masks are unions of regions; ``test_level_sets`` has the promises of the other."""
THRESHOLD, TARGET = 0.5, 0.2


def run(name, labels, score, importance, *, target=TARGET, max_evaluations=512, **options):
    problem = SearchProblem(
        labels, np.asarray(importance, float), threshold=THRESHOLD, target=target, **options
    )
    evaluator = MaskEvaluator(picture(labels), score, BLACK, max_evaluations=max_evaluations)
    return make(name)(problem, evaluator)


@pytest.mark.parametrize("name", SEARCHES)
def test_safe_image_needs_no_mask(name):
    labels = grid(3, 3)
    result = run(name, labels, lambda images: np.full(len(images), 0.3), np.arange(9))
    assert result.outcome == "not_needed"
    assert not result.mask.any()
    assert result.evaluations == 1
    assert result.score_after == result.score_before == 0.3


@pytest.mark.parametrize("name", OF_REGIONS)
def test_finds_the_one_region_that_matters(name):
    labels = grid(3, 3)
    result = run(name, labels, needs_all(labels, [4]), np.eye(9)[4])
    assert result.outcome == "found"
    assert result.regions == (4,)
    assert result.depth == 1
    assert (result.mask == (labels == 4)).all()
    assert result.irreducible


@pytest.mark.parametrize("name", SEARCHES)
def test_without_any_flip_the_outcome_is_not_found(name):
    labels = grid(3, 3)
    result = run(name, labels, lambda images: np.full(len(images), 0.9), np.arange(9))
    assert result.outcome == "not_found"
    assert not result.irreducible
    assert result.score_after == pytest.approx(0.9)


@pytest.mark.parametrize("name", OF_REGIONS)
@given(
    regions=st.sets(st.integers(0, 15), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    evaluations=st.integers(1, 200),
    most=st.integers(1, 10),
)
@settings(max_examples=60, deadline=None)
def test_result_agrees_with_its_mask_and_keeps_the_limits(name, regions, seed, evaluations, most):
    labels = grid(4, 4)
    importance = np.random.default_rng(seed).random(16)
    counting = Counting(needs_all(labels, regions))
    result = run(name, labels, counting, importance, max_regions=most, max_evaluations=evaluations)
    assert result.evaluations == counting.images <= evaluations + 2
    assert len(result.regions) <= most
    assert result.regions_total == 16
    veiled = np.where(result.mask[..., None], 0, VISIBLE).astype(np.uint8)
    if result.outcome == "found":
        again = float(counting(veiled[None])[0])
        assert again == pytest.approx(result.score_after)
        assert result.score_after < THRESHOLD
    else:
        assert result.outcome == "not_found"
        assert result.score_after >= TARGET


def test_greedy_is_the_first_prefix_that_flips():
    labels = grid(3, 3)
    result = run("greedy", labels, needs_all(labels, [2, 7]), [0, 0, 3, 9, 0, 0, 0, 2, 8])
    assert result.regions == (3, 8, 2, 7)
    assert result.depth == 4


def test_greedy_does_not_assume_that_more_veil_is_safer():
    labels = grid(2, 2)

    def score(images):
        black = (images == 0).all(axis=-1).mean(axis=(1, 2))
        return np.where(np.isclose(black, 0.5), 0.1, 0.9)

    result = run("greedy", labels, score, [4, 3, 2, 1])
    assert (result.outcome, result.depth) == ("found", 2)


def test_minimal_removes_regions_that_greedy_wastes():
    labels = grid(3, 3)
    result = run("minimal", labels, needs_all(labels, [2, 7]), [0, 0, 3, 9, 0, 0, 0, 2, 8])
    assert set(result.regions) == {2, 7}
    assert result.irreducible
    assert result.depth == 4


def test_minimal_recovers_from_a_useless_ranking():
    labels = grid(5, 5)
    importance = np.arange(25.0)
    assert run("greedy", labels, needs_all(labels, [0, 3]), importance).outcome == "not_found"
    result = run("minimal", labels, needs_any(labels, [[0], [1, 2]]), importance)
    assert result.outcome == "found"
    assert set(result.regions) == {0}


def test_minimal_recovers_when_regions_only_help_together():
    labels = grid(5, 5)

    def score(images):
        share = needs_all(labels, [0])(images) + needs_all(labels, [3])(images)
        return np.clip(0.05 + 0.45 * share, 0, 1)

    result = run("minimal", labels, score, np.arange(25.0), max_regions=3, max_evaluations=400)
    assert result.outcome == "found"
    assert set(result.regions) == {0, 3}


@given(
    sets=st.lists(st.sets(st.integers(0, 8), min_size=1, max_size=4), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_irreducible_means_that_no_region_can_be_removed(sets, seed):
    labels = grid(3, 3)
    score = needs_any(labels, sets)
    result = run("minimal", labels, score, np.random.default_rng(seed).random(9))
    assert result.outcome == "found"
    assert result.irreducible
    for region in result.regions:
        less = result.mask & (labels != region)
        image = np.where(less[..., None], 0, VISIBLE).astype(np.uint8)
        assert score(image[None])[0] >= TARGET


def test_minimal_removes_cells_of_the_refinement_labels():
    coarse, fine = grid(2, 2, side=8), grid(8, 8, side=2)
    object_cells = [0, 1, 8]
    score = needs_all(fine, object_cells)
    result = run("minimal", coarse, score, [1, 0, 0, 0], refinement_labels=fine)
    assert result.regions == (0,)
    assert (result.mask == np.isin(fine, object_cells)).all()
    assert result.irreducible


@given(seed=st.integers(0, 1000), evaluations=st.integers(3, 80))
@settings(max_examples=60, deadline=None)
def test_result_of_a_refined_mask_is_true_under_any_budget(seed, evaluations):
    coarse, fine = grid(2, 2, side=8), grid(8, 8, side=2)
    rng = np.random.default_rng(seed)
    counting = Counting(needs_all(fine, rng.choice(64, 6, replace=False)))
    attribution_map = rng.random(fine.shape).astype(np.float32)
    result = run(
        "minimal", coarse, counting, rng.random(4), max_evaluations=evaluations,
        refinement_labels=fine, attribution_map=attribution_map,
    )  # fmt: skip
    assert result.evaluations == counting.images <= evaluations
    image = np.where(result.mask[..., None], 0, VISIBLE).astype(np.uint8)
    assert float(counting(image[None])[0]) == pytest.approx(result.score_after)
    if result.outcome == "found":
        assert result.score_after < result.target
        assert set(result.regions) == set(np.unique(coarse[result.mask]))
    if result.irreducible:
        for piece in np.unique(fine[result.mask]):
            less = np.where((result.mask & (fine != piece))[..., None], 0, VISIBLE).astype(np.uint8)
            assert counting(less[None])[0] >= result.target


@pytest.mark.parametrize("evaluations", range(3, 20))
def test_gaps_are_closed_when_the_removals_used_up_the_budget(evaluations):
    """A square is needed but for its middle, which is given back first."""
    fine = grid(3, 3, side=3)
    fine[4, 4] = 9
    attribution_map = np.where(fine == 9, 0, 1).astype(np.float32)
    result = run(
        "minimal", np.zeros_like(fine), needs_all(fine, [4]), [1.0], max_evaluations=evaluations,
        refinement_labels=fine, attribution_map=attribution_map,
    )  # fmt: skip
    assert result.mask[4, 4]
    assert result.evaluations <= evaluations


@pytest.mark.parametrize("told", [True, False])
def test_cells_with_the_highest_attribution_replace_a_larger_mask(told):
    fine = grid(2, 4)
    beside = np.isin(fine, [3, 7])  # hides the decision as well as piece 0 does, and costs more
    coarse = np.where(beside, 0, 1).astype(np.int32)
    attribution_map = np.where(fine == 0, 1, 0.5 * beside).astype(np.float32)
    score = needs_any(fine, [[3, 7], [0]])
    options = {"refinement_labels": fine, "attribution_map": attribution_map if told else None}
    result = run("minimal", coarse, score, [0.5, 0.2], **options)
    assert (result.mask == (fine == 0 if told else beside)).all()
    assert result.regions == ((1,) if told else (0,))
    assert result.irreducible


def test_minimal_falls_back_to_the_threshold_and_reports_it():
    labels = grid(3, 3)
    result = run("minimal", labels, needs_all(labels, [4], low=0.4), np.eye(9)[4])
    assert result.outcome == "found"
    assert result.target == THRESHOLD
    assert result.score_after == pytest.approx(0.4)


def test_minimal_is_no_larger_than_greedy_on_every_small_case():
    labels = grid(2, 3)
    for size in (1, 2, 3):
        for regions in itertools.combinations(range(6), size):
            score = needs_all(labels, regions)
            importance = np.random.default_rng(sum(regions)).random(6)
            greedy = run("greedy", labels, score, importance)
            minimal = run("minimal", labels, score, importance)
            assert minimal.mask.sum() <= greedy.mask.sum()
            assert set(minimal.regions) == set(regions)


def test_target_above_the_threshold_is_rejected():
    with pytest.raises(UsageError, match="target <= threshold"):
        SearchProblem(grid(1, 1), np.ones(1), threshold=0.5, target=0.6)


def test_unknown_search_lists_the_known_ones():
    with pytest.raises(UsageError, match="greedy, minimal"):
        make("magic")


def test_cells_that_lower_the_score_further_are_kept():
    coarse, fine = grid(2, 2, side=8), grid(8, 8, side=2)
    part = [0, 1, 8, 9]

    def score(images):
        visible = 1 - veiled_regions(images, fine)[:, part]
        return 0.9 * visible.mean(axis=1)

    options = {"refinement_labels": fine, "target": 0.3}
    generous = run("minimal", coarse, score, [1, 0, 0, 0], **options)
    strict = run("minimal", coarse, score, [1, 0, 0, 0], max_score_increase=0.01, **options)
    assert generous.mask.sum() < strict.mask.sum()
    assert (strict.mask == np.isin(fine, part)).all()
    assert strict.irreducible


def test_gaps_smaller_than_a_cell_are_closed():
    refinement_labels = grid(4, 4, side=4)
    mask = np.zeros(refinement_labels.shape, bool)
    mask[2:14, 2:14] = True
    mask[5:7, 5:7] = False  # 4 pixels, a piece has 16
    mask[8:13, 8:13] = False  # 25 pixels
    closed = close_gaps(mask, refinement_labels)
    assert closed[5:7, 5:7].all()
    assert not closed[8:13, 8:13].any()
    assert (closed >= mask).all()
