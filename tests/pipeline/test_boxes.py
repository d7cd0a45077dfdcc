"""A classifier that says where it sees something is veiled there, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from counterveil.images import encode_png
from counterveil.pipeline.boxes import MARGIN, box_mask, box_regions
from counterveil.types import Box
from tests.pipeline.detectors import BLUE, RED, ColourDetector, make_pipeline, scored


class BoxDetector(ColourDetector):
    """A detector of squares of one colour that also gives their boxes."""

    def __init__(self, colour, places):
        super().__init__(colour)
        self._places = places

    def boxes(self, image):
        return tuple(Box(x, y, x + 12, y + 12, score) for x, y, score in self._places)


def picture(*places, colour=RED):
    """Squares of 12 pixels, each on a body of the same colour family."""
    pixels = np.full((64, 96, 3), 90, np.uint8)
    for x, y in places:
        pixels[y : y + 12, x : x + 12] = colour
        pixels[y + 14 : y + 40, x : x + 12] = np.array(colour) // 2 + 40  # looks like the square
    return pixels


def examine(detector, pixels, *others):
    pipeline = make_pipeline(scored("red", detector), *others)
    return pipeline.examine(encode_png(pixels), name="a.png")


def mask_of(examination):
    return np.asarray(examination.mask_image) > 0


def test_the_veil_is_the_box_and_not_the_body_below_it():
    examination = examine(BoxDetector(RED, [(20, 8, 0.9)]), picture((20, 8)))
    rows, columns = np.nonzero(mask_of(examination))
    margin = round(12 * MARGIN)
    assert (rows.min(), rows.max() + 1) == (8 - margin, 20 + margin)
    assert (columns.min(), columns.max() + 1) == (20 - margin, 32 + margin)
    (category,) = examination.record.categories
    result = category.counterfactual
    assert (result.segmentation, result.attribution, result.regions_total) == ("boxes", "", 1)
    assert result.verified and not result.completed_fraction
    assert examination.record.status == "ok"


def test_every_box_from_the_decision_on_is_veiled_and_no_other():
    places = [(10, 8, 0.9), (50, 8, 0.8), (80, 50, 0.4)]  # the last one is below the decision
    mask = mask_of(examine(BoxDetector(RED, places), picture((10, 8), (50, 8))))
    assert mask[14, 16] and mask[14, 56]
    assert not mask[55, 86]


@pytest.mark.parametrize("places", [[], [(70, 40, 0.9)]])
def test_boxes_that_do_not_suffice_are_not_trusted(places):
    """None, or in the wrong place: the attribution finds the square."""
    examination = examine(BoxDetector(RED, places), picture((20, 8)))
    assert mask_of(examination)[14, 26]
    assert examination.record.categories[0].counterfactual.segmentation == "bass"
    assert examination.record.categories[0].counterfactual.verified


def test_a_category_with_boxes_and_one_without_share_a_veil():
    pixels = picture((20, 8))
    pixels[44:60, 70:90] = BLUE
    detector = BoxDetector(RED, [(20, 8, 0.9)])
    examination = examine(detector, pixels, scored("blue", ColourDetector(BLUE)))
    mask = mask_of(examination)
    assert mask[14, 26] and mask[52, 80]
    assert not mask[40, 26]
    assert all(c.counterfactual.verified for c in examination.record.categories)


def test_overlapping_boxes_share_pixels_by_score_and_lie_in_the_image():
    regions = box_regions((20, 30), [Box(-5, -5, 12, 12, 0.4), Box(6, 6, 40, 40, 0.9)])
    assert regions.labels.shape == (20, 30)
    assert list(regions.scores) == [0.4, 0.9]
    assert regions.labels[10, 10] == 1 and regions.labels[0, 0] == 0
    covered = box_regions((20, 30), [Box(5, 5, 8, 8, 0.4), Box(4, 4, 10, 10, 0.9)])
    assert list(covered.scores) == [0.9]
    assert set(np.unique(covered.labels)) == {-1, 0}
    assert box_regions((20, 30), []) is None
    assert box_regions((20, 30), [Box(100, 100, 110, 110, 0.9)]) is None


class WordDetector(ColourDetector):
    """Sees squares of a colour, each on its own; the whole line is lost when one is veiled."""

    def boxes(self, image):
        near = np.abs(image.astype(int) - np.array(RED)).sum(axis=-1) < 90
        parts, count = label(near)
        if count < 3:
            return ()
        return tuple(Box(c.start, r.start, c.stop, r.stop, 0.9) for r, c in find_objects(parts))

    def score(self, images):
        return np.array([0.9 if self.boxes(image) else 0.0 for image in images])


def test_words_are_veiled_whole_although_the_score_falls_with_the_first():
    places = [(10, 8), (40, 8), (70, 8)]
    mask = mask_of(examine(WordDetector(RED), picture(*places)))
    for x, y in places:
        assert mask[y : y + 12, x : x + 12].all()


class LookingAgain(ColourDetector):
    """Sees the second square only when the first one is veiled."""

    def boxes(self, image):
        left, right = (is_red(image, x) for x in (20, 60))
        place = 20 if left else 60 if right else None
        return () if place is None else (Box(place, 8, place + 12, 20, 0.9),)

    def score(self, images):
        return np.array([0.9 if self.boxes(image) else 0.1 for image in images])


def is_red(image, x):
    return (image[14, x + 6] == RED).all()


def test_what_is_seen_only_under_the_veil_is_veiled_as_well():
    examination = examine(LookingAgain(RED), picture((20, 8), (60, 8)))
    mask = mask_of(examination)
    assert mask[14, 26] and mask[14, 66]
    (category,) = examination.record.categories
    assert category.counterfactual.segmentation == "boxes"
    assert category.counterfactual.regions_total == 2


class WithLargeBox(BoxDetector):
    """A detector with a box over the whole picture as well."""

    def boxes(self, image):
        return (Box(0, 0, image.shape[1], image.shape[0], 0.9), *super().boxes(image))


def test_a_box_as_large_as_the_picture_is_left_out_where_smaller_ones_suffice():
    examination = examine(WithLargeBox(RED, [(20, 8, 0.8)]), picture((20, 8)))
    mask = mask_of(examination)
    assert mask[14, 26] and mask.mean() < 0.1
    (warning,) = [text for text in examination.record.warnings if "large" in text]
    assert warning.startswith("red: ")


def test_a_box_as_large_as_the_picture_is_veiled_and_told_where_nothing_else_suffices():
    examination = examine(WithLargeBox(RED, []), picture((20, 8)))
    assert mask_of(examination).all()
    assert any("100% of the image" in text for text in examination.record.warnings)


def test_boxes_are_looked_for_at_full_resolution_and_cover_the_thing_there():
    detector = FineDetector(RED)
    pixels = np.full((1200, 1600, 3), 90, np.uint8)
    pixels[300:312, 700:712] = RED  # four pixels, once the picture is shrunk
    examination = examine(detector, pixels)
    mask = mask_of(examination)
    assert mask[300:312, 700:712].all()
    assert mask.sum() < 30 * 30
    assert examination.record.categories[0].counterfactual.verified


class FineDetector(ColourDetector):
    """Sees a square only at full resolution."""

    def boxes(self, image):
        visible = image.shape[0] >= 1000 and (image == RED).all(axis=-1).any()
        return (Box(700, 300, 712, 312, 0.9),) if visible else ()

    def score(self, images):
        return np.array([0.9 if self.boxes(image) else 0.0 for image in images])


def test_round_things_lose_their_corners_and_little_else():
    box = Box(10, 10, 70, 90, 0.9, rounded=True)
    mask = box_mask((100, 100), [box])
    whole = box_mask((100, 100), [replace(box, rounded=False)])
    assert not mask[~whole].any()
    assert 0.88 < mask.sum() / whole.sum() < 0.95
    assert mask[10:90, 40].all() and mask[50, 10:70].all()
    assert box_mask((10, 10), [Box(3, 3, 4, 4, 0.9, rounded=True)]).any()


def test_boxes_are_neither_cut_nor_completed_beside_another_category():
    pixels = picture((20, 8))
    pixels[44:60, 70:90] = BLUE
    boxes = BoxDetector(RED, [(20, 8, 0.9)])
    examination = examine(boxes, pixels, scored("blue", ColourDetector(BLUE)))
    left = mask_of(examination)[:, :50]  # the other category is on the right
    assert (left == box_mask((64, 96), [Box(20, 8, 32, 20, 0.9)])[:, :50]).all()
