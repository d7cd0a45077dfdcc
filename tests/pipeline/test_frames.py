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
    assert narrative.headline(record) == "Flagged: Red and Blue. Veiled as a whole"


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


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_scene_under_full_transparency_is_veiled_and_the_view_is_named():
    clear = np.dstack([square(image=np.full((96, 128, 3), 255, np.uint8)), np.zeros((96, 128))])
    examination = pipeline().examine(saved(Image.fromarray(clear.astype(np.uint8))), name="a.png")
    record = examination.record
    validate(record.to_dict())
    red, _ = record.categories
    assert (red.flagged, red.view, record.source.frames_assessed) == (True, "alpha ignored", (0,))
    assert red.counterfactual.outcome == "found" and red.counterfactual.verified
    assert ColourDetector(RED).score(decode_clean(examination.veiled)[None])[0] < 0.5
    assert any("this is the view “alpha ignored”" in note for note in record.source.notes)
    assert "flagged the image (alpha ignored) at" in " ".join(narrative.sentences(record))


def test_a_view_that_is_not_released_is_named():
    # Red shows on black only; the blue that shows in every view is worse.
    image = square(BLUE, side=60, image=np.full((96, 128, 3), 255, np.uint8), at=(4, 4))
    alpha = np.full((96, 128), 255, np.uint8)
    image[70:90, 90:120], alpha[70:90, 90:120] = (255, 20, 20), 150
    reddish = scored("red", ColourDetector((150, 12, 12)))
    blue = scored("blue", ColourDetector(BLUE))
    data = saved(Image.fromarray(np.dstack([image, alpha])))
    record = pipeline(reddish, blue).examine(data, name="a.png").record
    assert [category.view for category in record.categories] == ["on black", ""]
    assert [category.flagged for category in record.categories] == [True, True]
    (warning,) = (text for text in record.warnings if "flagged" in text)
    assert warning.startswith("red flagged the image in the view “on black” at 0.")
    assert warning.endswith("that view is not released")
    assert "That view is not released. The released" in " ".join(narrative.sentences(record))


def test_a_clean_file_is_released_in_its_plain_view():
    clear = np.dstack([square((90, 200, 90)), np.full((96, 128), 128, np.uint8)])
    examination = pipeline().examine(saved(Image.fromarray(clear)), name="a.png")
    assert not examination.record.flagged
    assert "transparency laid on white" in examination.record.source.notes
    assert decode_clean(examination.veiled).min() > 100


def test_a_flagged_picture_behind_the_end_flags_the_file_and_is_not_released():
    data = saved(Image.fromarray(square((90, 200, 90)))) + saved(Image.fromarray(square()))
    examination = pipeline().examine(data, name="a.png")
    record = examination.record
    red, blue = record.categories
    assert (red.flagged, red.view, blue.flagged) == (True, "picture behind the end", False)
    assert red.counterfactual.outcome == "not_needed" and red.counterfactual.verified
    (warning,) = (text for text in record.warnings if "flagged" in text)
    assert warning.startswith("red flagged the picture behind the end at 0.")
    assert warning.endswith("it is not in the released file")
    assert record.source.frames_assessed == (0,)
    assert (decode_clean(examination.veiled) == square((90, 200, 90))).all()
    assert "flagged the image (picture behind the end) at" in " ".join(narrative.sentences(record))


def test_the_rationale_names_the_view():
    clear = np.dstack([square(), np.full((96, 128), 0, np.uint8)])
    made = pipeline(questioned("red"), reasoner=ColourReasoner())
    record = made.examine(saved(Image.fromarray(clear)), name="a.png").record
    assert "%, alpha ignored)" in record.rationale.text
    assert "%, alpha ignored)" in record.rationale.statement


def test_the_statement_says_that_a_part_which_is_not_released_was_flagged():
    data = saved(Image.fromarray(square((90, 200, 90)))) + saved(Image.fromarray(square()))
    made = pipeline(questioned("red"), reasoner=ColourReasoner())
    statement = made.examine(data, name="a.png").record.rationale.statement
    assert statement.startswith("The decision is about a part of your file that is not released.")
    assert "%, picture behind the end)" in statement


def test_what_cannot_be_assessed_makes_it_partial():
    video = b"\x00\x00\x00\x18ftypmp42" + bytes(40)
    record = pipeline().examine(saved(Image.fromarray(square())) + video, name="a.png").record
    assert record.status == "partial"
    assert record.not_assessed == ("an MP4-like file (a video?) behind the image was not assessed",)
