"""Whole objects are veiled as far as that is safe, each independently of the others."""

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.masking.candidates import candidate_masks

IMAGE = np.full((40, 90, 3), 200, np.uint8)
OBJECTS = [np.zeros(IMAGE.shape[:2], bool) for _ in range(3)]
for at, part in enumerate(OBJECTS):
    part[10:30, 5 + 30 * at : 25 + 30 * at] = True
OBJECT_MASK = np.logical_or.reduce(OBJECTS)
CORE_MASK = OBJECT_MASK & (np.indices(OBJECT_MASK.shape)[0] < 15)


class ShapeSensitive:
    """Unsafe where at least ``many`` of these objects are veiled whole."""

    def __init__(self, *parts, many=1):
        self.parts, self.many, self.scored = parts, many, 0

    def score(self, images):
        self.scored += len(images)
        black = images.sum(axis=-1) == 0
        whole = [black[:, part].all(axis=1) for part in self.parts]
        hidden = np.sum(whole, axis=0) if whole else np.zeros(len(images))
        return np.where(hidden >= self.many, 0.6 + 0.1 * hidden, 0.1)


def completed(*classifiers):
    """The first candidate that every classifier finds safe, as a release takes it."""

    def margin(masks):
        veiled = fill("black")(IMAGE, masks)
        return np.max([one.score(veiled) - 0.5 for one in classifiers], axis=0)

    masks = candidate_masks(CORE_MASK, OBJECT_MASK, margin=margin)
    return next(mask for mask in masks if margin(mask[None])[0] < 0)


def test_whole_objects_where_that_is_safe():
    classifier = ShapeSensitive(many=1)
    assert (completed(classifier) == OBJECT_MASK).all()
    assert classifier.scored == 1


@pytest.mark.parametrize("guilty", range(3))
def test_only_the_object_that_raises_a_score_is_reduced_to_its_core(guilty):
    mask = completed(ShapeSensitive(OBJECTS[guilty]))
    for at, part in enumerate(OBJECTS):
        assert (mask[part] == (CORE_MASK if at == guilty else OBJECT_MASK)[part]).all()


def test_each_classifier_may_drop_another_object():
    mask = completed(ShapeSensitive(OBJECTS[0]), ShapeSensitive(OBJECTS[2]))
    assert [mask[part].all() for part in OBJECTS] == [False, True, False]


def test_no_more_objects_are_dropped_than_necessary():
    mask = completed(ShapeSensitive(*OBJECTS, many=3))
    assert sum(mask[part].all() for part in OBJECTS) == 2


def test_core_mask_where_nothing_more_is_safe():
    assert (completed(ShapeSensitive(*OBJECTS)) == CORE_MASK).all()


class Outlines(ShapeSensitive):
    """Unsafe where an object is veiled whole, and nothing beside it."""

    def score(self, images):
        black = images.sum(axis=-1) == 0
        beside = black[:, 9, 5:25].any(axis=1)
        return np.where(beside, 0.1, super().score(images))


def test_a_wider_mask_where_the_outline_raises_the_score():
    mask = completed(Outlines(OBJECTS[0]))
    assert (mask >= OBJECT_MASK).all()
    assert mask[9:31].any(axis=1).all()
    assert not mask[:9].any()
