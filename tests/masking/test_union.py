from __future__ import annotations

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.masking.union import ScoreConstraint, unite_masks
from counterveil.search import MaskEvaluator
from tests.search.scores import Counting, grid, needs_all, needs_any, picture


def united(labels, masks, scores, max_evaluations=200):
    """Masks united under the limit 0.5 for each score function."""
    image, black = picture(labels), fill("black")
    evaluators = [MaskEvaluator(image, s, black, max_evaluations=max_evaluations) for s in scores]
    return unite_masks(masks, [ScoreConstraint(e, 0.5) for e in evaluators], labels)


def test_both_constraints_stay_satisfied():
    labels = grid(3, 3)
    scores = [
        needs_all(labels, [0]),
        needs_all(labels, [8]),
    ]
    result = united(labels, [labels == 0, labels == 8], scores)
    assert (result.mask == np.isin(labels, [0, 8])).all()
    assert result.irreducible


def test_cells_that_another_mask_makes_unnecessary_are_removed():
    labels = grid(3, 3)
    scores = [
        needs_any(labels, [[0], [8]]),
        needs_all(labels, [8]),
    ]
    result = united(labels, [labels == 0, labels == 8], scores)
    assert (result.mask == (labels == 8)).all()


def test_a_union_that_violates_a_constraint_is_returned_whole():
    labels = grid(3, 3)
    scores = [lambda images: np.full(len(images), 0.9)]
    result = united(labels, [labels == 0], scores)
    assert (result.mask == (labels == 0)).all()
    assert not result.irreducible


def test_sets_that_one_constraint_rejects_are_not_scored_by_the_others():
    labels = grid(3, 3)
    first, second = Counting(needs_all(labels, [0, 4])), Counting(needs_all(labels, [8]))
    scores = [first, second]
    result = united(labels, [np.isin(labels, [0, 1, 4]), labels == 8], scores)
    assert (result.mask == np.isin(labels, [0, 4, 8])).all()
    assert result.irreducible
    assert result.evaluations == first.images + second.images
    # The second is asked of all four cells, and where the first can spare cells: 1, and then 8.
    assert (first.images, second.images) == (7, 3)


@pytest.mark.parametrize("evaluations", range(1, 12))
def test_an_ended_budget_leaves_a_mask_that_satisfies_all_constraints(evaluations):
    labels = grid(3, 3)
    first, second = needs_all(labels, [0, 4]), needs_all(labels, [8])
    scores = [first, second]
    result = united(labels, [labels < 6, labels > 5], scores, evaluations)
    veiled = np.where(result.mask[..., None], 0, 200).astype(np.uint8)[None]
    assert max(first(veiled)[0], second(veiled)[0]) < 0.5
    assert result.evaluations <= 2 * evaluations
    assert not result.irreducible or (result.mask == np.isin(labels, [0, 4, 8])).all()
