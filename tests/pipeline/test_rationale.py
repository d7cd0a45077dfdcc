"""Rationales in records: asked before and after the veil, and what is not answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterveil.categories import Category, Question
from counterveil.errors import ModelError
from counterveil.images import encode_png, load
from counterveil.pipeline import Settings
from counterveil.pipeline.parts import Watch
from counterveil.reasoning.base import DESCRIBE, Answered
from counterveil.record import validate
from counterveil.types import ModelInfo
from tests.pipeline.detectors import BLUE, RED, Constant, Sees, counterveil, square

COLOURS = {"Is there red?": RED, "Is there blue?": BLUE}


class Looks:
    """Answers by looking for a colour; keeps what it was asked."""

    info = ModelInfo("python:tests:looks", "1")
    knows = ("red",)

    def __init__(self, silent: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[tuple[str, ...], dict[str, float], bool]] = []
        self._silent = silent

    def answer(self, images, questions, codes, *, text=True):
        self.asked.append((tuple(questions[0]), codes[0].to_dict(), text))
        pairs = zip(images, questions, strict=True)
        return [[self._one(image, question) for question in asked] for image, asked in pairs]

    def _one(self, image, question):
        if question in self._silent:
            return Answered(question, "", None, "the server refused")
        if question == DESCRIBE:
            return Answered(question, "The image shows squares.", 0.5)
        p = float(Sees(COLOURS[question]).score(image[None])[0])
        return Answered(question, "Yes, a square." if p >= 0.5 else "No.", p)


class Fails(Looks):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def answer(self, *args, **kwargs):
        raise self._error


def watching(key="red", classifier=None):
    questions = (Question("a", "Is there red?"), Question("b", "Is there blue?"))
    category = Category(key, key.title(), questions=questions, classifier="python:tests:made")
    return Watch(category, classifier or Sees(RED))


def examined(reasoner, image=None, settings=None, watch=None):
    pipeline = counterveil(watch or watching(), settings=settings)
    pipeline.reasoner = reasoner
    examination = pipeline.examine(encode_png(square() if image is None else image))
    validate(examination.record.to_dict())
    return examination


def test_a_yes_that_rests_on_what_is_veiled_is_grounded():
    rationale = examined(Looks()).record.rationale
    red, blue = rationale.answers
    assert red.category == "red"
    assert red.yes
    assert red.p_yes_veiled < 0.5
    assert red.grounded
    assert not blue.yes
    assert blue.p_yes_veiled is None
    assert not blue.grounded
    assert "takes away 1 of 1" in rationale.text


def test_a_yes_that_rests_on_what_is_in_sight_is_told():
    image = square(BLUE, image=square(), at=(60, 90))
    rationale = examined(Looks(), image).record.rationale
    red, blue = rationale.answers
    assert red.grounded
    assert blue.yes
    assert blue.p_yes_veiled >= 0.5
    assert not blue.grounded
    assert "Still yes under the veil: “Is there blue?”" in rationale.text
    assert rationale.statement.count("Yes, a square.") == 1


def test_the_code_is_what_flagged_and_the_same_before_and_after():
    reasoner = Looks()
    record = examined(reasoner).record
    (first, code, text), (again, same, words) = reasoner.asked
    assert first == (DESCRIBE, "Is there red?", "Is there blue?")
    assert again == ("Is there red?",)
    assert code == same == {"red": pytest.approx(record.categories[0].score)}
    assert record.rationale.control == code
    assert text
    assert not words


def test_categories_that_the_reasoner_does_not_know_are_left_out_of_the_code():
    reasoner = Looks()
    examined(reasoner, watch=watching("other"))
    assert reasoner.asked[0][1] == {}


def test_a_safe_image_is_described_and_a_disagreement_told():
    rationale = examined(Looks(), square(BLUE)).record.rationale
    assert rationale.description == "The image shows squares."
    assert rationale.text.startswith("No category flagged this image; Red came closest, at 0.0 %.")
    assert rationale.text.endswith("disagree: have a person look at this image.")
    assert rationale.statement == ""


def test_only_flagged_categories_are_asked_for_where_that_is_wanted():
    reasoner = Looks()
    examined(reasoner, square(BLUE), settings=Settings(questions="flagged"))
    assert [asked for asked, _, _ in reasoner.asked] == [(DESCRIBE,)]


def test_what_is_not_answered_is_neither_yes_nor_no_and_makes_the_record_partial():
    record = examined(Looks(silent=("Is there blue?", DESCRIBE))).record
    blue = record.rationale.answers[1]
    assert (blue.p_yes, blue.answer, blue.reason) == (None, "", "the server refused")
    assert record.status == "partial"
    assert "gave no description and did not answer 1 question" in record.warnings[-1]
    assert "1 question could not be assessed" in record.rationale.text


@pytest.mark.parametrize("error", [ModelError("no such model"), ZeroDivisionError("oops")])
def test_a_reasoner_that_fails_loses_no_veil(error):
    examination = examined(Fails(error))
    record = examination.record
    assert record.status == "partial"
    assert record.rationale is None
    assert "no rationale was written" in record.warnings[-1]
    assert str(error) in record.warnings[-1]
    assert record.categories[0].counterfactual.verified
    assert examination.veiled is not None


def test_the_reasoner_is_among_the_models_and_timed():
    record = examined(Looks()).record
    assert Looks.info in record.models
    assert "reason" in record.timing_ms


def test_an_image_veiled_whole_says_so():
    pipeline = counterveil(replace(watching(), classifier=Constant(0.9)))
    pipeline.reasoner = Looks()
    rationale = pipeline.examine(encode_png(np.zeros((64, 64, 3), np.uint8))).record.rationale
    assert "The veil covers the whole image" in rationale.text
    assert rationale.statement.startswith("Your image is hidden as a whole.")


def test_what_is_still_answered_by_yes_is_veiled_where_that_is_wanted():
    image = square(BLUE, image=square(), at=(60, 90))
    plain = examined(Looks(), image)
    more = examined(Looks(), image, settings=Settings(answers=True))
    assert all(answer.grounded for answer in more.record.rationale.answers)
    assert "takes away 2 of 2" in more.record.rationale.text
    before, after = (load(e.mask)[0].pixels[..., 0] > 127 for e in (plain, more))
    assert (after >= before).all()
    assert after[64:80, 94:110].mean() > 0.9
    result = more.record.categories[0].counterfactual
    assert result.verified
    assert result.area_fraction == pytest.approx(after.mean())
    assert "answers" in more.record.timing_ms


class Stubborn(Looks):
    """Sees blue in everything."""

    def _one(self, image, question):
        if question == "Is there blue?":
            return Answered(question, "Yes, blue.", 0.9)
        return super()._one(image, question)


def test_an_answer_that_no_veil_takes_away_is_told():
    examination = examined(Stubborn(), settings=Settings(answers=True))
    assert "no veil was found under which every answer is no" in examination.record.warnings
    assert examination.record.categories[0].counterfactual.verified
    assert "Still yes under the veil" in examination.record.rationale.text
