"""A veil must hold for classifiers that took no part in the search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterveil.images import encode_png
from counterveil.pipeline.judges import MAX_AREA
from counterveil.record import validate
from counterveil.types import Box, ModelInfo
from tests.pipeline.detectors import BLUE, RED, ColourDetector, make_pipeline, scored, square


class Sees:
    """Scores 0.9 while a part of the pixels of one colour is visible, else 0.1."""

    def __init__(self, colour, part, name="judge"):
        self.info = ModelInfo(name, "1")
        self._colour, self._part = colour, part

    def score(self, images):
        near = np.abs(images.astype(int) - self._colour).max(axis=3) < 60
        return np.where(near.mean(axis=(1, 2)) > self._part, 0.9, 0.1)


class Always:
    info = ModelInfo("always", "1")

    def score(self, images):
        return np.full(len(images), 0.9)


def two_squares():
    """A red square and, beside it, a pink one that only the judge knows."""
    pixels = square()
    red = np.argwhere(np.abs(pixels.astype(int) - RED).max(axis=2) < 40)
    (top, left), (bottom, right) = red.min(0), red.max(0) + 1
    pink = slice(top, bottom), slice(right + 2, 2 * right + 2 - left)
    pixels[pink] = (240, 140, 150)
    return pixels, pink


def examine(pixels, *judges, **options):
    each = replace(scored("red", ColourDetector(RED)), judges=judges)
    return make_pipeline(each, **options).examine(encode_png(pixels), name="a.png")


def test_a_judge_that_agrees_changes_nothing():
    alone = examine(square())
    judged = examine(square(), Sees(RED, 0.0))
    assert judged.veiled == alone.veiled
    (category,) = judged.record.categories
    (judgement,) = category.counterfactual.judgements
    assert (judgement.judge, judgement.score_before, judgement.score_after) == ("judge", 0.9, 0.1)
    assert not judgement.disputes and not category.counterfactual.judged_fraction
    assert judged.record.status == "ok"


def test_the_veil_grows_until_the_judge_agrees():
    pixels, pink = two_squares()
    alone, judged = examine(pixels), examine(pixels, Sees((240, 140, 150), 0.002))
    small, large = (np.asarray(each.mask_image) > 0 for each in (alone, judged))
    assert not small[pink].all()
    assert large[pink].mean() > 0.9
    assert (large & small).sum() == small.sum()
    result = judged.record.categories[0].counterfactual
    assert result.verified and not result.disputed and not result.irreducible
    assert result.judged_fraction == pytest.approx((large & ~small).mean())
    assert judged.record.status == "ok"
    validate(judged.record.to_dict())


def test_level_sets_grow_to_the_next_sizes_until_the_judge_agrees():
    options = {"search": "levelsets", "region_size": "fine", "completion": "none"}
    pixels = square(side=24)
    alone = examine(pixels, **options)
    small = np.asarray(alone.mask_image) > 0

    class Wants:
        """Content with twice the veil."""

        info = ModelInfo("wants", "1")

        def score(self, images):
            black = (images == 0).all(axis=3).mean(axis=(1, 2))
            return np.where(black >= 2 * small.mean(), 0.1, 0.9)

    judged = examine(pixels, Wants(), **options)
    large = np.asarray(judged.mask_image) > 0
    assert (large | small == large).all()
    assert 2 * small.mean() <= large.mean() < MAX_AREA
    assert (
        judged.record.status == "ok" and judged.record.categories[0].counterfactual.judged_fraction
    )
    assert examine(pixels, Always(), **options).record.status == "disputed"


def test_the_veil_over_boxes_grows_for_a_judge_whatever_the_search():
    class Boxed(ColourDetector):
        """Says where its colour is."""

        def boxes(self, image):
            rows, columns = np.nonzero(np.abs(image.astype(int) - RED).sum(axis=2) < 90)
            if not len(rows):
                return ()
            return (Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.9),)

    pixels, pink = two_squares()
    judges = (Sees((240, 140, 150), 0.002),)
    each = replace(scored("red", Boxed(RED)), judges=judges)
    options = {"search": "levelsets", "region_size": "fine", "completion": "none"}
    judged = make_pipeline(each, **options).examine(encode_png(pixels))
    assert judged.record.categories[0].counterfactual.segmentation == "boxes"
    assert (np.asarray(judged.mask_image) > 0)[pink].mean() > 0.9
    assert judged.record.status == "ok"


def test_a_black_box_is_hidden_region_by_region_in_few_scores():
    options = {"search": "levelsets", "region_size": "fine", "completion": "none"}
    found = examine(square(), **options).record.categories[0].counterfactual
    assert found.outcome == "found" and found.evaluations < 60


def test_a_judge_that_is_never_content_makes_the_record_disputed_and_the_veil_stays_small():
    alone, judged = examine(square()), examine(square(), Always())
    assert judged.veiled == alone.veiled
    assert judged.record.status == "disputed"
    assert judged.record.categories[0].counterfactual.disputed
    assert judged.record.categories[0].counterfactual.verified
    validate(judged.record.to_dict())
    assert (np.asarray(judged.mask_image) > 0).mean() < MAX_AREA


def test_a_judge_that_saw_nothing_before_disputes_nothing():
    judged = examine(square(), Sees(BLUE, 0.0))
    (judgement,) = judged.record.categories[0].counterfactual.judgements
    assert not judgement.disputes


def test_the_judge_that_can_be_satisfied_is_although_another_cannot():
    pixels, pink = two_squares()
    judged = examine(pixels, Always(), Sees((240, 140, 150), 0.002, "pink"))
    assert (np.asarray(judged.mask_image) > 0)[pink].mean() > 0.9
    disputes = [each.disputes for each in judged.record.categories[0].counterfactual.judgements]
    assert disputes == [True, False]


def test_judges_of_a_clean_image_are_not_asked():
    class Fails:
        info = ModelInfo("fails", "1")

        def score(self, images):
            raise AssertionError("asked")

    assert examine(square(BLUE), Fails()).record.status == "ok"


@pytest.mark.parametrize(("warn", "warned"), [(0.0, False), (0.005, True), (0.5, False)])
def test_a_score_between_the_two_thresholds_is_a_warning(warn, warned):
    each = scored("red", ColourDetector(RED))
    each = replace(each, category=replace(each.category, warn_threshold=warn))
    pixels = square(BLUE)
    pixels[:3, :3] = RED
    record = make_pipeline(each).examine(encode_png(pixels)).record
    assert 0.005 < record.categories[0].score < 0.5 and not record.flagged
    assert any("a person should look" in text for text in record.warnings) == warned
