"""Files of several frames: each category's worst frame is told, one frame is released."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from counterveil import narrative
from counterveil.images import decode_clean
from counterveil.record import validate
from tests.pipeline.detectors import BLUE, RED, ColourDetector, make_pipeline, scored, square
from tests.pipeline.test_rationale import ColourReasoner, questioned


def animation(*frames: np.ndarray) -> bytes:
    first, *others = map(Image.fromarray, frames)
    buffer = io.BytesIO()
    first.save(buffer, "PNG", save_all=True, append_images=others)
    return buffer.getvalue()


def pipeline(*classifiers, **options):
    both = (scored("red", ColourDetector(RED)), scored("blue", ColourDetector(BLUE)))
    return make_pipeline(*(classifiers or both), segmentation="slic", search="greedy", **options)


def examined(*frames, **parts):
    examination = pipeline(**parts).examine(animation(*frames), name="a.png")
    validate(examination.record.to_dict())
    return examination


APART = square(RED, side=20), square(BLUE, side=30), square((90, 200, 90))


def test_what_another_frame_flagged_is_flagged_though_a_worse_frame_is_released():
    examination = examined(*APART)
    red, blue = examination.record.categories
    assert (red.flagged, red.frame) == (True, 0)
    assert red.score == pytest.approx(float(ColourDetector(RED).score(APART[0][None])[0]))
    assert (blue.flagged, blue.frame, examination.record.source.frame) == (True, 1, 1)
    assert red.counterfactual.outcome == "not_needed"
    assert red.counterfactual.score_before < 0.1
    assert red.counterfactual.verified
    assert blue.counterfactual.outcome == "found"
    released = decode_clean(examination.veiled)
    assert ColourDetector(RED).score(released[None])[0] < 0.5
    assert ColourDetector(BLUE).score(released[None])[0] < 0.5


def test_the_record_and_the_report_say_which_frame_and_that_it_is_not_released():
    record = examined(*APART).record
    assert any("red flagged frame 0 at 0." in w and "not released" in w for w in record.warnings)
    assert any("counted from 0; 3 were assessed, and only frame 1" in w for w in record.warnings)
    assert not any("blue flagged" in w for w in record.warnings)
    told = " ".join(narrative.sentences(record))
    assert "Red flagged frame 0 at" in told
    assert "Blue flagged frame 1 at" in told
    assert told.count("That frame is not released") == 1
    assert narrative.headline(record) == "Flagged: Red and Blue. Veiled and verified"


def test_a_category_can_flag_the_released_frame_and_another_one_more():
    both = square(RED, side=18, at=(4, 4), image=square(BLUE, side=40, at=(40, 60)))
    red, blue = examined(square(RED, side=24), both).record.categories
    assert (red.frame, blue.frame) == (0, 1)
    assert red.score > red.counterfactual.score_before >= 0.5
    assert red.counterfactual.outcome == blue.counterfactual.outcome == "found"


def test_the_released_frame_is_named_where_another_scores_the_same():
    both = square(RED, at=(4, 4), image=square(BLUE, side=40, at=(40, 60)))
    record = examined(square(RED), both).record
    assert [category.frame for category in record.categories] == [1, 1]
    assert record.source.frame == 1
    assert not any("flagged frame" in warning for warning in record.warnings)


def test_every_frame_clear_is_clear():
    record = examined(square((90, 200, 90)), square((90, 200, 90), side=30)).record
    assert not record.flagged
    assert not any("not released" in warning for warning in record.warnings)


def test_a_frame_that_was_not_assessed_makes_it_partial_and_its_numbers_are_the_file_s():
    frames = square((90, 200, 90)), square(BLUE), square((90, 200, 90), side=30), square(RED)
    record = examined(*frames, max_frames=2).record
    assert record.status == "partial"
    assert record.source.frames_assessed == (0, 3)
    assert [category.frame for category in record.categories] == [3, 3]


def test_the_reasoner_is_conditioned_on_the_frame_that_it_sees():
    classifiers = [questioned("red"), questioned("blue", ColourDetector(BLUE))]
    reasoner = ColourReasoner()
    reasoner.supported_categories = None
    made = pipeline(*classifiers, reasoner=reasoner)
    record = made.examine(animation(*APART), name="a.png").record
    assert record.rationale.control["red"] == 0
    assert record.rationale.control["blue"] == pytest.approx(record.categories[1].score)
    assert "in frame 0) and Blue" in record.rationale.text
    assert "Only frame 1 is released" in record.rationale.statement
    assert "policy on: Red and Blue" in record.rationale.statement
