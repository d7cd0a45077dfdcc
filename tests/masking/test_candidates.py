"""Whole objects, as far as is safe: one that provokes a classifier does not uncover the others."""

import numpy as np
import pytest

from counterveil.fills import fill
from counterveil.masking.candidates import candidate_masks

IMAGE = np.full((40, 90, 3), 200, np.uint8)
OBJECTS = [np.zeros(IMAGE.shape[:2], bool) for _ in range(3)]
for at, part in enumerate(OBJECTS):
    part[10:30, 5 + 30 * at : 25 + 30 * at] = True
WHOLE = np.logical_or.reduce(OBJECTS)
CORE = WHOLE & (np.indices(WHOLE.shape)[0] < 15)


class Startled:
    """Unsafe where at least ``many`` of these objects are veiled whole."""

    def __init__(self, *parts, many=1):
        self.parts, self.many, self.asked = parts, many, 0

    def score(self, images):
        self.asked += len(images)
        black = images.sum(axis=-1) == 0
        whole = [black[:, part].all(axis=1) for part in self.parts]
        hidden = np.sum(whole, axis=0) if whole else np.zeros(len(images))
        return np.where(hidden >= self.many, 0.6 + 0.1 * hidden, 0.1)


def completed(*classifiers):
    """The first candidate that every classifier finds safe, as a release takes it."""

    def margin(masks):
        veiled = fill("black")(IMAGE, masks)
        return np.max([one.score(veiled) - 0.5 for one in classifiers], axis=0)

    masks = candidate_masks(CORE, WHOLE, margin=margin)
    return next(mask for mask in masks if margin(mask[None])[0] < 0)


def test_all_objects_where_that_is_safe():
    asked = Startled(many=1)
    assert (completed(asked) == WHOLE).all()
    assert asked.asked == 1


@pytest.mark.parametrize("guilty", range(3))
def test_only_the_object_that_provokes_is_left_at_its_core(guilty):
    mask = completed(Startled(OBJECTS[guilty]))
    for at, part in enumerate(OBJECTS):
        assert (mask[part] == (CORE if at == guilty else WHOLE)[part]).all()


def test_each_category_may_drop_one_of_its_own():
    mask = completed(Startled(OBJECTS[0]), Startled(OBJECTS[2]))
    assert [mask[part].all() for part in OBJECTS] == [False, True, False]


def test_no_more_are_dropped_than_must_be():
    mask = completed(Startled(*OBJECTS, many=3))
    assert sum(mask[part].all() for part in OBJECTS) == 2


def test_the_core_where_nothing_more_is_safe():
    assert (completed(Startled(*OBJECTS)) == CORE).all()


class Outlines(Startled):
    """Unsafe where an object is veiled whole, and nothing beside it."""

    def score(self, images):
        black = images.sum(axis=-1) == 0
        beside = black[:, 9, 5:25].any(axis=1)
        return np.where(beside, 0.1, super().score(images))


def test_a_wider_veil_where_the_outline_tells():
    mask = completed(Outlines(OBJECTS[0]))
    assert (mask >= WHOLE).all()
    assert mask[9:31].any(axis=1).all()
    assert not mask[:9].any()
