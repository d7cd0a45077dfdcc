"""A classifier that says where it sees something is veiled there, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.images import encode_png
from counterveil.pipeline.boxes import MARGIN, box_regions
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


def test_every_box_that_is_needed_is_veiled_and_no_other():
    places = [(10, 8, 0.9), (50, 8, 0.8), (80, 50, 0.6)]  # the last one is a false alarm
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
    image = np.zeros((20, 30, 3), np.uint8)
    regions = box_regions(image, [Box(-5, -5, 12, 12, 0.4), Box(6, 6, 40, 40, 0.9)])
    assert regions.labels.shape == (20, 30)
    assert list(regions.scores) == [0.4, 0.9]
    assert regions.labels[10, 10] == 1 and regions.labels[0, 0] == 0
    covered = box_regions(image, [Box(5, 5, 8, 8, 0.4), Box(4, 4, 10, 10, 0.9)])
    assert list(covered.scores) == [0.9]
    assert set(np.unique(covered.labels)) == {-1, 0}
    assert box_regions(image, []) is None
    assert box_regions(image, [Box(100, 100, 110, 110, 0.9)]) is None
