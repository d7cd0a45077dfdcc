"""The measures of a reasoner, on reasoners whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.lab.benchmarks import reasoning as measure
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION, OPEN_QUESTIONS, QuestionAnswer
from counterveil.types import ModelInfo

COUNT = 48


@pytest.fixture(scope="module")
def drawn():
    return measure.scenes(COUNT, seed=3)


class Knows:
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


class Parrot(Knows):
    """Says what the code says, whatever the image shows."""

    def _one(self, image, question, code):
        if question in OPEN_QUESTIONS:
            return QuestionAnswer(question, "The image shows an empty place.", None)
        flagged = {q.text for key, q in measure.QUESTIONS if code.guidance.get(key, 0) > 0}
        return QuestionAnswer(question, "", 0.9 if question in flagged else 0.1)


class Silent(Knows):
    def _one(self, image, question, code):
        return QuestionAnswer(question, "", None, "refused")


def asked(reasoner, drawn, at=0):
    steps = []
    condition = measure.CONDITIONS[at]
    said = measure.ask(reasoner, drawn, [condition], texts=True, step=lambda: steps.append(1))
    assert len(steps) == len(drawn)
    return said[condition.name]


class Heard(Parrot):
    """Keeps what it is asked."""

    def __init__(self, drawn):
        super().__init__(drawn)
        self.calls = []

    def answer(self, images, questions, codes, *, text=True):
        self.calls.append((list(images), list(codes), text))
        return super().answer(images, questions, codes, text=text)


def test_conditions_asked_together_are_answered_as_each_alone(drawn):
    together = measure.ask(
        Parrot(drawn), drawn, measure.CONDITIONS, texts=True, step=lambda: None
    )  # a parrot's answers depend on nothing but the code
    assert list(together) == [condition.name for condition in measure.CONDITIONS]
    for at, said in enumerate(together.values()):
        for one, alone in zip(said, asked(Parrot(drawn), drawn, at), strict=True):
            assert one.scene is alone.scene
            assert one.texts == alone.texts
            np.testing.assert_array_equal(one.p_yes, alone.p_yes)


def test_a_scene_is_asked_about_once_a_code(drawn):
    heard = Heard(drawn)
    measure.ask(heard, drawn, measure.CONDITIONS, texts=False, step=lambda: None)
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


def test_who_knows_the_truth_is_right_everywhere(drawn):
    said = asked(Knows(drawn), drawn)
    assert all(row.mean == 1 for row in measure.coarse(said).values())
    assert measure.fine(said)["mean"].mean == 1
    assert measure.calibration(said)[0] == pytest.approx(0.03, abs=1e-6)
    wolf = measure.wolf(asked(Knows(drawn), drawn, at=3))
    assert all(row.mean == 1 for row in wolf.values())
    gone = measure.grounding(Knows(drawn), said, lambda s: s.mask(), step=lambda: None)
    assert gone.mean == 1
    assert gone.n > 40


def test_a_parrot_is_found_out(drawn):
    assert measure.wolf(asked(Parrot(drawn), drawn, at=3))["self_harm"].mean == 0
    said = asked(Parrot(drawn), drawn)
    # With the right code a parrot looks clever; only the wrong one tells.
    assert measure.fine(said)["mean"].mean > 0.9
    assert measure.coarse(said)["self_harm, unsafe"].mean == 0
    gone = measure.grounding(Parrot(drawn), said, lambda s: s.mask(), step=lambda: None)
    assert gone.mean == 0


def test_no_answer_is_never_a_right_one(drawn):
    said = asked(Silent(drawn), drawn)
    assert measure.fine(said)["mean"].mean == 0
    assert measure.calibration(said) == (0, [])


def test_codes_say_what_their_condition_says(drawn):
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
def test_words_speak_of_a_category_by_a_stated_rule(text, wanted):
    assert measure.judged([text]) == wanted


def test_balanced_accuracy_counts_both_sides_alike():
    right = np.array([True] * 9 + [False])
    positive = np.array([False] * 8 + [True, True])
    assert measure.balanced(right, positive).mean == pytest.approx(0.75)
    assert np.isnan(measure.balanced(right, np.zeros(10, bool)).mean)


def test_the_mean_of_the_questions_is_as_sure_as_its_scenes_make_it():
    """Against a bootstrap in plain words; the range over the questions would be far wider."""
    rng = np.random.default_rng(1)
    count, questions = 400, 9
    positive = rng.random((count, questions)) < 0.3
    right = rng.random((count, questions)) < np.linspace(0.6, 0.95, questions)
    found = measure.balanced_mean(right, positive)
    draws = []
    for _ in range(1000):
        at = rng.integers(0, count, count)
        rows = [measure.balanced(right[at, q], positive[at, q], draws=1).mean for q in range(9)]
        draws.append(np.mean(rows))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert found.mean == pytest.approx(
        np.mean([measure.balanced(right[:, q], positive[:, q]).mean for q in range(9)])
    )
    assert found.low == pytest.approx(low, abs=0.004)
    assert found.high == pytest.approx(high, abs=0.004)
    assert found.high - found.low < 0.06
    assert found.n == count


def test_more_scenes_make_the_mean_surer(drawn):
    said = asked(Parrot(drawn), drawn)
    few, all_ = measure.fine(said[::3])["mean"], measure.fine(said)["mean"]
    assert all_.low < all_.mean < all_.high
    assert all_.high - all_.low < few.high - few.low


def test_samples_stand_side_by_side(drawn):
    by = {c.name: asked(Knows(drawn), drawn, at) for at, c in enumerate(measure.CONDITIONS)}
    rows = list(measure.samples(by, 3))
    assert len(rows) == 3
    assert set(rows[0]) == {"scene", "truth", *(c.name for c in measure.CONDITIONS)}
    assert rows[0]["truth"] == rows[0]["no code"]


def test_words_to_judge_are_each_conditions_and_every_answer(drawn):
    by = {c.name: asked(Knows(drawn), drawn, at) for at, c in enumerate(measure.CONDITIONS)}
    rows = list(measure.to_judge(by, 3))
    assert len(rows) == 3
    assert set(rows[0]["descriptions"]) == set(by)
    assert rows[0]["descriptions"]["no code"] == rows[0]["truth"]
    assert [one["question"] for one in rows[0]["answers"]] == [q.text for _, q in measure.QUESTIONS]
    assert len(list(measure.to_judge(by, 10_000))) == len(drawn)


def test_the_description_is_among_the_open_questions():
    assert DESCRIPTION_QUESTION in OPEN_QUESTIONS


def test_nobody_is_asked_where_nothing_was_answered_yes(drawn):
    heard = Heard(drawn)
    said = asked(Silent(drawn), drawn)
    gone = measure.grounding(heard, said, lambda s: s.mask(), step=lambda: None)
    assert heard.calls == []
    assert gone.n == 0
