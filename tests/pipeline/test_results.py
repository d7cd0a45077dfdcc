"""The record warns of a veil that is below the threshold, but not by the margin."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.images import encode_png
from counterveil.record import validate
from counterveil.types import ModelInfo
from tests.pipeline.detectors import (
    BLUE,
    RED,
    ColourDetector,
    Constant,
    make_pipeline,
    scored,
    square,
)
from tests.report.samples import html


class Floor:
    """Scores 0.9 while red is visible, else ``floor``, or ``large`` on an image over 100 pixels."""

    info = ModelInfo("python:tests:floor", "1")

    def __init__(self, floor, large=None):
        self._floor, self._large = floor, floor if large is None else large

    def score(self, images):
        near = np.abs(images.astype(int) - RED).max(axis=3) < 60
        floor = self._large if max(images.shape[1:3]) > 100 else self._floor
        return np.where(near.any(axis=(1, 2)), 0.9, floor)


def examine(classifier, *, threshold=0.5, image=None, **options):
    pipeline = make_pipeline(scored("red", classifier, threshold), **options)
    return pipeline.examine(encode_png(square() if image is None else image), name="a.png")


def margin_warnings(examination):
    return [text for text in examination.record.warnings if "margin" in text]


def test_a_classifier_that_cannot_go_lower_is_veiled_and_warned_about():
    examination = examine(Floor(0.61), threshold=0.8, margin=0.5)
    record = examination.record
    result = record.categories[0].counterfactual
    assert record.status == "ok" and result.verified
    assert (result.score_after, record.settings["margin"]) == (0.61, 0.5)
    assert result.outcome == "found" and not record.whole_image_veiled
    assert margin_warnings(examination) == [
        "red scores 0.610 under the veil: below the threshold, 0.8, but not below 0.4, as the "
        "margin of 0.5 asks"
    ]
    validate(record.to_dict())


def test_the_released_file_counts_and_not_the_small_copy_that_was_searched():
    examination = examine(Floor(0.1, large=0.4), search_size=64)
    result = examination.record.categories[0].counterfactual
    assert (result.outcome, result.score_after) == ("found", 0.4)
    assert len(margin_warnings(examination)) == 1


@pytest.mark.parametrize(
    ("classifier", "options"),
    [
        (Floor(0.29), {}),
        (Floor(0.49), {"margin": 0}),
        (Floor(0.4), {"image": square(BLUE)}),  # nothing was veiled
        (Constant(0.9), {}),  # not verified: the record says more than a warning
        (ColourDetector(RED), {}),
    ],
)
def test_there_is_no_warning_where_the_margin_holds_or_is_not_asked_for(classifier, options):
    assert margin_warnings(examine(classifier, **options)) == []


def test_a_search_that_accepts_nothing_above_its_target_veils_everything_without_this_warning():
    examination = examine(Floor(0.4), search="greedy")
    assert examination.record.whole_image_veiled
    assert margin_warnings(examination) == []


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.8])
def test_a_category_has_its_margin_whatever_its_threshold(threshold):
    # Of the targets that the search may choose, the margin's is the highest one here.
    options = {"threshold": threshold, "max_score_increase": 1.0}
    examination = examine(Floor(0.5 * threshold), **options)
    result = examination.record.categories[0].counterfactual
    assert (result.outcome, result.target) == ("found", round(0.6 * threshold, 9))
    assert margin_warnings(examination) == []
    assert len(margin_warnings(examine(Floor(0.7 * threshold), **options))) == 1


def test_the_warning_is_shown_where_warnings_are_shown():
    examination = examine(Floor(0.4))
    (warning,) = margin_warnings(examination)
    assert warning in repr(examination)
    assert warning in html([(examination.record, None)])
    assert warning in examination.record.to_json()
