"""The measures of a reasoner, on reasoners whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.lab.benchmarks import reasoning as measure
from counterveil.lab.benchmarks.bootstrap import (
    bootstrap_balanced_accuracy,
    bootstrap_mean_balanced_accuracy,
)
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION, OPEN_QUESTIONS, QuestionAnswer
from counterveil.types import ModelInfo

COUNT = 48


@pytest.fixture(scope="module")
def drawn():
    return measure.draw_scenes(COUNT, seed=3)


class PerfectReasoner:
    """Tells the truth of scenes that it recognises by their pixels; sure to a degree."""

    info = ModelInfo("python:tests:knows", "1")
    supported_categories = None

    def __init__(self, drawn, sure=0.97):
        self._answers = {scene.pixels.tobytes(): scene.answers for scene in drawn}
        self._sure = sure

    def answer(self, images, questions, codes, *, text=True):
        return [[self._one(image, q, code) for q in asked]
                for image, asked, code in zip(images, questions, codes, strict=True)]  # fmt: skip

    def _one(self, image, question, code):
        for answer in self._answers.get(image.tobytes(), ()):
            if answer.question == question:
                p = self._sure if answer.yes else 1 - self._sure
                p = None if question in OPEN_QUESTIONS else p
                return QuestionAnswer(question, answer.answer, p)
        return QuestionAnswer(question, "No.", 1 - self._sure)


class CodeRepeater(PerfectReasoner):
    """Says what the code says, whatever the image shows."""

    def _one(self, image, question, code):
        if question in OPEN_QUESTIONS:
            return QuestionAnswer(question, "The image shows an empty place.", None)
        flagged = {q.text for key, q in measure.QUESTIONS if code.guidance.get(key, 0) > 0}
        return QuestionAnswer(question, "", 0.9 if question in flagged else 0.1)


class SilentReasoner(PerfectReasoner):
    def _one(self, image, question, code):
        return QuestionAnswer(question, "", None, "refused")


def asked(reasoner, drawn, at=0):
    steps = []
    condition = measure.CONDITIONS[at]
    said = measure.predict(
        reasoner, drawn, [condition], describe=True, step=lambda: steps.append(1)
    )
    assert len(steps) == len(drawn)
    return said[condition.name]


class RecordingReasoner(CodeRepeater):
    """Keeps what it is asked."""

    def __init__(self, drawn):
        super().__init__(drawn)
        self.calls = []

    def answer(self, images, questions, codes, *, text=True):
        self.calls.append((list(images), list(codes), text))
        return super().answer(images, questions, codes, text=text)


def test_conditions_asked_together_are_answered_as_each_alone(drawn):
    together = measure.predict(
        CodeRepeater(drawn), drawn, measure.CONDITIONS, describe=True, step=lambda: None
    )  # a parrot's answers depend on nothing but the code
    assert list(together) == [condition.name for condition in measure.CONDITIONS]
    for at, said in enumerate(together.values()):
        for one, alone in zip(said, asked(CodeRepeater(drawn), drawn, at), strict=True):
            assert one.scene is alone.scene
            assert one.descriptions == alone.descriptions
            np.testing.assert_array_equal(one.p_yes, alone.p_yes)


def test_each_scene_is_asked_about_once_per_code(drawn):
    heard = RecordingReasoner(drawn)
    measure.predict(heard, drawn, measure.CONDITIONS, describe=False, step=lambda: None)
    codes = [len(codes) for _, codes, _ in heard.calls]
    # An unsafe scene has four codes; a safe one, of which no code and the right one are the
    # same, two. Half of the scenes are unsafe.
    assert sum(codes) == 3 * len(drawn)
    for images, some, _ in heard.calls:
        pairs = zip(images, some, strict=True)
        said = {(id(image), *sorted(code.guidance.items())) for image, code in pairs}
        assert len(said) == len(some)


def test_scenes_are_half_unsafe_and_half_not(drawn):
    assert len(drawn) == 3 * COUNT
    assert np.mean([any(scene.labels.values()) for scene in drawn]) == 0.5
    assert {scene.kind for scene in drawn} == {"unsafe", "safe", "lookalike"}
    assert {scene.split for scene in drawn} == {"test"}


def test_a_perfect_reasoner_is_correct_everywhere(drawn):
    said = asked(PerfectReasoner(drawn), drawn)
    assert all(row.mean == 1 for row in measure.category_accuracy(said).values())
    assert measure.question_accuracy(said)["mean"].mean == 1
    assert measure.calibration_error(said)[0] == pytest.approx(0.03, abs=1e-6)
    specificity = measure.wrong_code_specificity(asked(PerfectReasoner(drawn), drawn, at=3))
    assert all(row.mean == 1 for row in specificity.values())
    gone = measure.grounding(PerfectReasoner(drawn), said, lambda s: s.mask(), step=lambda: None)
    assert gone.mean == 1
    assert gone.n > 40


def test_a_reasoner_that_repeats_the_code_is_exposed(drawn):
    assert (
        measure.wrong_code_specificity(asked(CodeRepeater(drawn), drawn, at=3))["self_harm"].mean
        == 0
    )
    said = asked(CodeRepeater(drawn), drawn)
    # With the right code repeating it looks correct; only the wrong code shows it.
    assert measure.question_accuracy(said)["mean"].mean > 0.9
    assert measure.category_accuracy(said)["self_harm, unsafe"].mean == 0
    gone = measure.grounding(CodeRepeater(drawn), said, lambda s: s.mask(), step=lambda: None)
    assert gone.mean == 0


def test_no_answer_is_never_correct(drawn):
    said = asked(SilentReasoner(drawn), drawn)
    assert measure.question_accuracy(said)["mean"].mean == 0
    assert measure.calibration_error(said) == (0, [])


def test_codes_follow_their_condition(drawn):
    right, half, none, wrong = measure.CONDITIONS
    for scene in drawn:
        true = {key for key, bad in scene.labels.items() if bad}
        assert set(right.code(scene).flagged) == set(half.code(scene).flagged) == true
        assert all(value == 0.5 for value in half.code(scene).guidance.values())
        assert not none.code(scene).flagged
        assert wrong.code(scene).flagged
        assert not set(wrong.code(scene).flagged) & true


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The image shows a bare blade and a cup.", {"self_harm"}),
        ("The image shows a comb, a banana and a person.", set()),
        (
            "Somebody is making a rude gesture and hurting a forearm.",
            {"cyberbullying", "self_harm"},
        ),
        ("The image shows a forearm with a bracelet.", set()),
        ("The image shows a bare mannequin standing.", {"sexually_explicit"}),
        ("The image shows a clothed mannequin standing.", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_categories_are_mentioned_by_their_phrases(text, wanted):
    assert measure.mentioned_categories([text]) == wanted


def test_balanced_accuracy_counts_both_sides_alike():
    right = np.array([True] * 9 + [False])
    positive = np.array([False] * 8 + [True, True])
    assert bootstrap_balanced_accuracy(right, positive).mean == pytest.approx(0.75)
    assert np.isnan(bootstrap_balanced_accuracy(right, np.zeros(10, bool)).mean)


def test_the_interval_of_the_mean_is_over_scenes():
    """Against a bootstrap in plain words; the range over the questions would be far wider."""
    rng = np.random.default_rng(1)
    count, questions = 400, 9
    positive = rng.random((count, questions)) < 0.3
    right = rng.random((count, questions)) < np.linspace(0.6, 0.95, questions)
    found = bootstrap_mean_balanced_accuracy(right, positive)
    draws = []
    for _ in range(1000):
        at = rng.integers(0, count, count)
        rows = [
            bootstrap_balanced_accuracy(right[at, q], positive[at, q], resamples=1).mean
            for q in range(9)
        ]
        draws.append(np.mean(rows))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert found.mean == pytest.approx(
        np.mean([bootstrap_balanced_accuracy(right[:, q], positive[:, q]).mean for q in range(9)])
    )
    assert found.low == pytest.approx(low, abs=0.004)
    assert found.high == pytest.approx(high, abs=0.004)
    assert found.high - found.low < 0.06
    assert found.n == count


def test_more_scenes_narrow_the_interval(drawn):
    said = asked(CodeRepeater(drawn), drawn)
    few, all_ = (
        measure.question_accuracy(said[::3])["mean"],
        measure.question_accuracy(said)["mean"],
    )
    assert all_.low < all_.mean < all_.high
    assert all_.high - all_.low < few.high - few.low


def test_examples_have_one_description_per_condition(drawn):
    by = {
        c.name: asked(PerfectReasoner(drawn), drawn, at) for at, c in enumerate(measure.CONDITIONS)
    }
    rows = list(measure.example_descriptions(by, 3))
    assert len(rows) == 3
    assert set(rows[0]) == {"scene", "truth", *(c.name for c in measure.CONDITIONS)}
    assert rows[0]["truth"] == rows[0]["no code"]


def test_annotation_samples_have_all_descriptions_and_answers(drawn):
    by = {
        c.name: asked(PerfectReasoner(drawn), drawn, at) for at, c in enumerate(measure.CONDITIONS)
    }
    rows = list(measure.annotation_samples(by, 3))
    assert len(rows) == 3
    assert set(rows[0]["descriptions"]) == set(by)
    assert rows[0]["descriptions"]["no code"] == rows[0]["truth"]
    assert [one["question"] for one in rows[0]["answers"]] == [q.text for _, q in measure.QUESTIONS]
    assert len(list(measure.annotation_samples(by, 10_000))) == len(drawn)


def test_the_description_is_among_the_open_questions():
    assert DESCRIPTION_QUESTION in OPEN_QUESTIONS


def test_nothing_is_asked_again_if_nothing_was_answered_yes(drawn):
    heard = RecordingReasoner(drawn)
    said = asked(SilentReasoner(drawn), drawn)
    gone = measure.grounding(heard, said, lambda s: s.mask(), step=lambda: None)
    assert heard.calls == []
    assert gone.n == 0
