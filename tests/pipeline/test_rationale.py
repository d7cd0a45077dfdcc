"""Rationales in records: asked before and after the veil, and what is not answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterveil import narrative
from counterveil.categories import Category, Question
from counterveil.errors import ModelError
from counterveil.images import encode_png, load
from counterveil.pipeline.components import CategoryClassifier
from counterveil.pipeline.rationale import disagreements
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION, QuestionAnswer
from counterveil.record import (
    Answer,
    CategoryResult,
    CounterfactualResult,
    Disagreement,
    Record,
    validate,
)
from counterveil.types import ModelInfo
from tests.pipeline.detectors import BLUE, RED, ColourDetector, Constant, make_pipeline, square

COLOURS = {"Is there red?": RED, "Is there blue?": BLUE}


class ColourReasoner:
    """Answers by looking for a colour; keeps what it was asked."""

    info = ModelInfo("python:tests:looks", "1")
    supported_categories = ("red",)

    def __init__(self, silent: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[tuple[str, ...], dict[str, float], bool]] = []
        self._silent = silent

    def answer(self, images, questions, codes, *, text=True):
        self.asked.append((tuple(questions[0]), codes[0].to_dict(), text))
        pairs = zip(images, questions, strict=True)
        return [[self._one(image, question) for question in asked] for image, asked in pairs]

    def _one(self, image, question):
        if question in self._silent:
            return QuestionAnswer(question, "", None, "the server refused")
        if question == DESCRIPTION_QUESTION:
            return QuestionAnswer(question, "The image shows squares.", 0.5)
        p = float(ColourDetector(COLOURS[question]).score(image[None])[0])
        return QuestionAnswer(question, "Yes, a square." if p >= 0.5 else "No.", p)


class Fails(ColourReasoner):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def answer(self, *args, **kwargs):
        raise self._error


def questioned(key="red", classifier=None):
    questions = (Question("a", "Is there red?"), Question("b", "Is there blue?"))
    category = Category(key, key.title(), questions=questions, classifier="python:tests:made")
    return CategoryClassifier(category, classifier or ColourDetector(RED))


def examined(reasoner, image=None, classifier=None, **options):
    pipeline = make_pipeline(classifier or questioned(), reasoner=reasoner, **options)
    examination = pipeline.examine(encode_png(square() if image is None else image))
    validate(examination.record.to_dict())
    return examination


def test_a_yes_that_rests_on_what_is_veiled_is_grounded():
    rationale = examined(ColourReasoner()).record.rationale
    red, blue = rationale.answers
    assert red.category == "red"
    assert red.yes
    assert red.p_yes_veiled < 0.5
    assert red.grounded
    assert not blue.yes
    assert blue.p_yes_veiled is None
    assert not blue.grounded
    assert "The veil removes this answer." in rationale.text


def test_a_yes_that_rests_on_what_is_in_sight_is_told():
    image = square(BLUE, image=square(), at=(60, 90))
    rationale = examined(ColourReasoner(), image).record.rationale
    red, blue = rationale.answers
    assert red.grounded
    assert blue.yes
    assert blue.p_yes_veiled >= 0.5
    assert not blue.grounded
    assert "Still yes under the veil: “Is there blue?”" in rationale.text
    assert rationale.statement.count("Yes, a square.") == 1


def test_the_code_is_what_flagged_and_the_same_before_and_after():
    reasoner = ColourReasoner()
    record = examined(reasoner).record
    (first, code, text), (again, same, words) = reasoner.asked
    assert first == (DESCRIPTION_QUESTION, "Is there red?", "Is there blue?")
    assert again == ("Is there red?",)
    assert code == same == {"red": pytest.approx(record.categories[0].score)}
    assert record.rationale.control == code
    assert text
    assert not words


def test_categories_that_the_reasoner_does_not_know_are_left_out_of_the_code():
    reasoner = ColourReasoner()
    examined(reasoner, classifier=questioned("other"))
    assert reasoner.asked[0][1] == {}


def test_a_safe_image_is_described_and_a_disagreement_told():
    rationale = examined(ColourReasoner(), square(BLUE)).record.rationale
    assert rationale.description == "The image shows squares."
    assert rationale.text.startswith("No category flagged this image. Red came closest, at 0.0 %")
    assert rationale.disagreements == (Disagreement("red", False, 1, 2),)
    assert rationale.text.endswith(
        "The classifier and the model disagree on Red: the classifier did not flag it (0.0 %), but "
        "the model answers yes to 1 of 2 questions on it. A person should check the image."
    )
    assert rationale.statement == ""


def test_only_flagged_categories_are_asked_for_where_that_is_wanted():
    reasoner = ColourReasoner()
    examined(reasoner, square(BLUE), questions="flagged")
    assert [asked for asked, _, _ in reasoner.asked] == [(DESCRIPTION_QUESTION,)]


def test_what_is_not_answered_is_neither_yes_nor_no_and_makes_the_record_partial():
    record = examined(ColourReasoner(silent=("Is there blue?", DESCRIPTION_QUESTION))).record
    blue = record.rationale.answers[1]
    assert (blue.p_yes, blue.answer, blue.reason) == (None, "", "the server refused")
    assert record.status == "partial"
    assert "gave no description and did not answer 1 question" in record.not_assessed[-1]
    assert "1 question could not be assessed" in record.rationale.text


@pytest.mark.parametrize("error", [ModelError("no such model"), ZeroDivisionError("oops")])
def test_a_reasoner_that_fails_loses_no_veil(error):
    examination = examined(Fails(error))
    record = examination.record
    assert record.status == "partial"
    assert record.rationale is None
    assert "no rationale was written" in record.not_assessed[-1]
    assert str(error) in record.not_assessed[-1]
    assert record.categories[0].counterfactual.verified
    assert examination.veiled is not None


def test_the_reasoner_is_among_the_models_and_timed():
    record = examined(ColourReasoner()).record
    assert ColourReasoner.info in record.models
    assert "reason" in record.timing_ms


def test_an_image_veiled_whole_says_so():
    pipeline = make_pipeline(
        replace(questioned(), classifier=Constant(0.9)), reasoner=ColourReasoner()
    )
    rationale = pipeline.examine(encode_png(np.zeros((64, 64, 3), np.uint8))).record.rationale
    assert "The veil covers the whole image" in rationale.text
    assert rationale.statement.startswith("Your image is hidden as a whole.")


def test_what_is_still_answered_by_yes_is_veiled_where_that_is_wanted():
    image = square(BLUE, image=square(), at=(60, 90))
    plain = examined(ColourReasoner(), image)
    more = examined(ColourReasoner(), image, veil_answers=True)
    assert all(answer.grounded for answer in more.record.rationale.answers)
    assert "removes 2 of these 2 answers" in more.record.rationale.text
    before, after = (load(e.mask)[0].pixels[..., 0] > 127 for e in (plain, more))
    assert (after >= before).all()
    assert after[64:80, 94:110].mean() > 0.9
    result = more.record.categories[0].counterfactual
    assert result.verified
    assert result.area_fraction == pytest.approx(after.mean())
    assert "answers" in more.record.timing_ms


class Stubborn(ColourReasoner):
    """ColourDetector blue in everything."""

    def _one(self, image, question):
        if question == "Is there blue?":
            return QuestionAnswer(question, "Yes, blue.", 0.9)
        return super()._one(image, question)


def test_an_answer_that_no_veil_takes_away_is_told():
    examination = examined(Stubborn(), veil_answers=True)
    assert "no veil was found under which every answer is no" in examination.record.warnings
    assert examination.record.categories[0].counterfactual.verified
    assert "Still yes under the veil" in examination.record.rationale.text


class Fickle(ColourReasoner):
    """Does as it is told, call by call; the last one for all that follow."""

    def __init__(self, *turns, **options) -> None:
        super().__init__(**options)
        self._turns = list(turns)

    def answer(self, images, questions, codes, *, text=True):
        turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        if isinstance(turn, BaseException):
            raise turn
        rows = super().answer(images, questions, codes, text=text)
        if turn == "silent":
            return [
                [QuestionAnswer(a.question, "", None, "the server refused") for a in r]
                for r in rows
            ]
        return rows


def both():
    return square(BLUE, image=square(), at=(60, 90))


FAILURES = [ModelError("gone"), ZeroDivisionError("oops"), SystemExit(3)]


@pytest.mark.parametrize("error", FAILURES)
def test_a_failure_while_more_is_veiled_loses_no_veil(error):
    examination = examined(Fickle("speak", "speak", error), both(), veil_answers=True)
    record = examination.record
    assert record.status == "ok"
    assert record.categories[0].counterfactual.verified
    assert record.categories[0].counterfactual.answered_fraction == 0
    assert "Still yes under the veil" in record.rationale.text
    assert "what is still answered yes could not be veiled" in record.warnings[-1]
    plain = examined(ColourReasoner(), both())
    assert examination.veiled == plain.veiled and examination.mask == plain.mask


def test_a_release_that_fails_while_more_is_veiled_leaves_the_veil_as_it_was(monkeypatch):
    from counterveil.pipeline import veil

    made, release = [], veil.release

    def fails(*parts):
        made.append(release(*parts))
        if len(made) > 1:
            raise OSError("no more memory")
        return made[0]

    monkeypatch.setattr(veil, "release", fails)
    examination = examined(ColourReasoner(), both(), veil_answers=True, completion="none")
    assert len(made) == 2
    mask = load(examination.mask)[0].pixels[..., 0] > 127
    result = examination.record.categories[0].counterfactual
    assert result.area_fraction == pytest.approx(mask.mean())
    assert result.answered_fraction == 0
    assert "no more memory" in examination.record.warnings[-1]


class GoneLater(ColourReasoner):
    """Is gone once it has answered under the veil, and found the veil that takes its yes away."""

    def answer(self, images, questions, codes, *, text=True):
        if text and any(not words for _, _, words in self.asked):
            raise ModelError("gone")
        return super().answer(images, questions, codes, text=text)


def test_the_first_rationale_is_kept_where_the_second_fails():
    record = examined(GoneLater(), both(), veil_answers=True).record
    result = record.categories[0].counterfactual
    red, blue = record.rationale.answers
    assert red.grounded
    assert blue.yes and blue.p_yes_veiled is None
    assert record.status == "partial"
    assert "could not be asked again: no rationale was" in record.not_assessed[0]
    assert result.answered_fraction > 0
    assert f"The veil covers {100 * result.area_fraction:.1f} %" in record.rationale.text
    assert "1 could not be assessed again under the veil." in record.rationale.text
    assert record.rationale.statement


def test_answers_that_are_not_given_again_under_the_veil_are_not_assessed():
    record = examined(Fickle("speak", "silent"), both()).record
    assert record.status == "partial"
    assert (
        "did not answer 2 questions again under the veil; that is not a no"
        in (record.not_assessed[-1])
    )
    assert "None of these answers could be assessed again under the veil." in record.rationale.text
    assert "The veil removes" not in record.rationale.text


def test_a_refusal_of_everything_is_no_row_of_noes():
    record = examined(Fickle("silent")).record
    assert record.status == "partial"
    assert "None of 2 questions could be assessed" in record.rationale.text
    assert "yes to none" not in record.rationale.text


def test_a_safe_image_is_not_asked_about_again_and_is_no_doubt():
    record = examined(ColourReasoner(), square(BLUE)).record
    assert record.status == "ok"


@pytest.mark.parametrize("knows", [("red",), None])
def test_guidance_set_by_hand_takes_the_classifiers_place(knows):
    reasoner = ColourReasoner()
    reasoner.supported_categories = knows
    record = examined(reasoner, guidance={"red": 0.25}).record
    assert [code for _, code, _ in reasoner.asked] == [{"red": 0.25}] * 2
    assert record.rationale.control == {"red": 0.25}
    assert any("guidance was configured" in warning for warning in record.warnings)


def test_guidance_of_nothing_leaves_the_words_unconditioned():
    reasoner = ColourReasoner()
    record = examined(reasoner, guidance={}).record
    assert record.categories[0].flagged
    assert reasoner.asked[0][1] == {"red": 0.0}


def test_the_area_that_is_veiled_for_answers_is_told_apart():
    plain = examined(ColourReasoner(), both()).record.categories[0].counterfactual
    more = examined(ColourReasoner(), both(), veil_answers=True).record
    result = more.categories[0].counterfactual
    assert result.completed_fraction == plain.completed_fraction
    assert result.answered_fraction == pytest.approx(result.area_fraction - plain.area_fraction)
    assert result.answered_fraction > 0


class Denies(ColourReasoner):
    """Answers no to everything but what it is silent about."""

    def _one(self, image, question):
        if question in self._silent or question == DESCRIPTION_QUESTION:
            return super()._one(image, question)
        return QuestionAnswer(question, "No.", 0.1)


def test_a_flag_that_every_answer_denies_is_told_to_moderator_and_poster():
    record = examined(Denies()).record
    assert record.rationale.disagreements == (Disagreement("red", True, 0, 2),)
    score = narrative.percent(record.categories[0].score)
    sentence = (
        f"The classifier and the model disagree on Red: the classifier flagged it at {score}, but "
        "the model answers no to all 2 questions on it. A person should check the image."
    )
    assert sentence in record.rationale.text
    assert sentence in " ".join(narrative.sentences(record))
    assert (
        "The ground is our policy on: Red. The software that describes images did not confirm "
        "this: it answered no to all 2 questions on Red." in record.rationale.statement
    )
    assert Record.from_dict(record.to_dict()) == record


def test_a_flag_that_one_answer_confirms_is_no_disagreement():
    record = examined(ColourReasoner()).record
    assert record.rationale.disagreements == ()
    for text in (record.rationale.text, record.rationale.statement, *narrative.sentences(record)):
        assert "disagree" not in text and "confirm" not in text


def test_what_is_not_answered_denies_nothing():
    some = examined(Denies(silent=("Is there blue?",))).record.rationale
    assert some.disagreements == (Disagreement("red", True, 0, 1),)
    assert "no to 1 of 2 questions on Red (the rest were not assessed)." in some.statement
    none = examined(Denies(silent=("Is there red?", "Is there blue?"))).record
    assert none.rationale.disagreements == ()
    assert "describes images could not be asked about Red." in none.rationale.statement
    assert "did not confirm" not in none.rationale.statement
    assert "answered no question on Red" in " ".join(narrative.sentences(none))


def test_a_disagreement_outlives_a_second_round_that_fails():
    rationale = examined(GoneLater(), both(), veil_answers=True).record.rationale
    assert rationale.disagreements == ()
    other = questioned("other", Constant(0.1))
    pipeline = make_pipeline(questioned(), other, reasoner=GoneLater(), veil_answers=True)
    rationale = pipeline.examine(encode_png(both())).record.rationale
    assert rationale.disagreements == (Disagreement("other", False, 2, 2),)
    assert "disagree on Other" in rationale.text


def judged(key, score, *, seen=None):
    """A category's result; ``seen``: the score of the released frame, if another one is worst."""
    before = score if seen is None else seen
    result = CounterfactualResult("not_needed", before, min(before, 0.4), 0.4, verified=True)
    return CategoryResult(key, score, 0.5, score >= 0.5, result, frame=0 if seen is None else 1)


P_YES = st.sampled_from([None, 0.0, 0.49, 0.5, 1.0])


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([None, 0.2]),
                  st.lists(P_YES, max_size=3)),
        max_size=3,
    )
)  # fmt: skip
def test_disagreements_are_those_of_the_frame_that_both_saw(drawn):
    categories = [judged(f"c{i}", score, seen=seen) for i, (score, seen, _) in enumerate(drawn)]
    answers = [
        Answer(f"c{i}", f"q{n}", "", p) for i, (_, _, row) in enumerate(drawn)
        for n, p in enumerate(row)
    ]  # fmt: skip
    found = {each.category: each for each in disagreements(categories, answers)}
    for category, (score, seen, row) in zip(categories, drawn, strict=True):
        said = [p >= 0.5 for p in row if p is not None]
        flagged = (score if seen is None else seen) >= 0.5
        one = found.pop(category.key, None)
        if not said or flagged == any(said):
            assert one is None
        else:
            assert one == Disagreement(category.key, flagged, sum(said), len(said))
    assert not found
