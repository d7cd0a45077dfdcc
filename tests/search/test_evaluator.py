"""Scores under masks: budget, cache, batches and the number of evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.search import MaskEvaluator
from tests.search.scores import Counting, bands, grid, needs_all, picture


def evaluator(labels, score, **options):
    return MaskEvaluator(picture(labels), score, fill("black"), **options)


def test_score_once_scores_each_set_once_and_score_scores_it_again():
    labels = bands([2, 2, 2])
    counting = Counting(needs_all(labels, [0]))
    masks = evaluator(labels, counting)
    assert masks.score_before == masks.score_before == 1
    scorer = masks.regions(labels)
    sets = np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    assert scorer.score_once(sets).tolist() == [0, 1, 0, 1]
    assert masks.evaluations == counting.images == 3  # the empty set is the image itself
    assert (scorer[sets[0]], scorer.get(sets[3]), scorer.get(~sets[3])) == (0, 1, None)
    assert scorer.score(sets).tolist() == [0, 1, 0, 1]
    assert masks.evaluations == counting.images == 7


def test_the_answer_ends_at_the_first_set_that_the_budget_does_not_cover():
    labels = bands([2, 2, 2])
    masks = evaluator(labels, needs_all(labels, [0]), max_evaluations=3)
    scorer = masks.regions(labels)
    assert scorer.score_once(np.array([[1, 0, 0]], bool)).tolist() == [0]
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], bool)
    assert scorer.score_once(sets).tolist() == [0, 0, 1]
    assert (masks.evaluations, masks.remaining) == (3, 0)
    assert masks.score(np.zeros((2, *labels.shape), bool)).tolist() == []


def test_reserved_evaluations_are_left_for_later():
    labels = grid(2, 2)
    masks = evaluator(labels, needs_all(labels, [0]), max_evaluations=5)
    scorer = masks.regions(labels, score_all_veiled=0.1)
    with masks.reserve(2):
        assert masks.remaining == 3
        assert len(scorer.score_once(np.eye(4, dtype=bool))) == 3
    assert masks.remaining == 2
    assert scorer[np.ones(4, bool)] == 0.1


@pytest.mark.parametrize("on_device", [False, True])
def test_masks_are_scored_in_batches_by_whoever_composites_them(on_device):
    labels, sizes = grid(3, 3), []

    def score_masked(masks):
        sizes.append(len(masks))
        return masks.mean(axis=(1, 2))

    def score(images):
        return score_masked((images == 0).all(axis=-1))

    masks = evaluator(labels, score, score_masked=score_masked if on_device else None, batch_size=4)
    scores = masks.regions(labels).score(np.eye(9, dtype=bool))
    assert scores.tolist() == pytest.approx([1 / 9] * 9)
    assert sizes == [4, 4, 1]


def test_a_negative_label_is_never_veiled():
    labels = grid(1, 2)
    labels[0] = -1
    mask = evaluator(labels, needs_all(labels, [0])).regions(labels).masks(np.ones((1, 2), bool))
    assert (mask[0] == (labels >= 0)).all()
