"""Predictions of a reasoner on scenes, and their metrics (the paper's Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER_CATEGORIES, ControlCode
from counterveil.lab.benchmarks.bootstrap import (
    Estimate,
    bootstrap_balanced_accuracy,
    bootstrap_mean,
    bootstrap_mean_balanced_accuracy,
)
from counterveil.lab.benchmarks.checkpoint import Step
from counterveil.lab.scenes import CATEGORY_KEYS, OBJECT_KINDS, Scene, draw_scene
from counterveil.reasoning.interfaces import QuestionAnswer, Reasoner
from counterveil.types import Mask

MaskFunction = Callable[[Scene], Mask]
"""The mask that veils a scene."""

QUESTIONS = tuple(
    (key, question) for key in PAPER_CATEGORIES for question in CATEGORIES[key].questions
)
"""The nine questions of the paper's Table 2, each with its category."""
BATCH_SIZE = 5
"""Scenes per call of the reasoner; each is asked about with several control codes."""
CALIBRATION_BINS = 10
"""Bins of the reliability diagram, equally wide."""


@dataclass(frozen=True)
class Condition:
    """How the control code of a scene is chosen.

    Attributes:
        guidance: strength of the code, 0 to 1.
        correct: the code names the scene's unsafe categories; if ``False``, it names a category
            in which the scene is safe.
    """

    name: str
    guidance: float
    correct: bool = True

    def code(self, scene: Scene) -> ControlCode:
        """The control code of one scene."""
        if self.correct:
            return ControlCode({key: self.guidance for key, bad in scene.labels.items() if bad})
        wrong = scene.category
        if scene.labels[wrong]:
            wrong = CATEGORY_KEYS[(CATEGORY_KEYS.index(wrong) + 1) % len(CATEGORY_KEYS)]
        return ControlCode({wrong: self.guidance})


CONDITIONS = (
    Condition("right code", 1.0),
    Condition("right code, guidance 0.5", 0.5),
    Condition("no code", 0.0),
    Condition("wrong code", 1.0, correct=False),
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers of a reasoner about one scene under one condition.

    Attributes:
        descriptions: answers to the generic questions.
        p_yes: P(yes) for each of the nine questions; NaN without an answer.
    """

    scene: Scene
    descriptions: tuple[str, ...]
    p_yes: Float64[np.ndarray, " questions"]

    @cached_property
    def truth(self) -> Bool[np.ndarray, " questions"]:
        """True answers to the nine questions."""
        answers = {(answer.key, answer.question): answer.yes for answer in self.scene.answers}
        return np.array([bool(answers[question.key, question.text]) for _, question in QUESTIONS])


def draw_scenes(count: int, *, seed: int) -> list[Scene]:
    """Test scenes, ``count`` per category: half unsafe, a quarter safe, a quarter look-alikes."""
    kinds = ("unsafe", "safe", "unsafe", "lookalike")
    return [
        draw_scene(seed, index, split="test", category=key, kind=kinds[index % 4])
        for key in CATEGORY_KEYS
        for index in range(count)
    ]


def predict(
    reasoner: Reasoner,
    scenes: Sequence[Scene],
    conditions: Sequence[Condition],
    *,
    describe: bool,
    step: Step,
) -> dict[str, list[Prediction]]:
    """Ask all questions about all scenes under each condition.

    All codes of a scene are in one call, so that a reasoner can encode the image once. Conditions
    with equal codes (all but the wrong code, for a safe scene) are asked once.

    Args:
        reasoner: the reasoner.
        scenes: the scenes.
        conditions: the conditions.
        describe: also ask the generic questions, which are answered in words.
        step: called after each scene.

    Returns:
        Predictions in the order of the scenes, by name of the condition.
    """
    predictions: dict[str, list[Prediction]] = {condition.name: [] for condition in conditions}
    for start in range(0, len(scenes), BATCH_SIZE):
        batch = scenes[start : start + BATCH_SIZE]
        codes = [
            {_code_key(code): code for code in (each.code(scene) for each in conditions)}
            for scene in batch
        ]
        asked = [(i, key) for i, by_key in enumerate(codes) for key in by_key]
        answered = _predict_batch(
            reasoner, [(batch[i], codes[i][key]) for i, key in asked], describe=describe
        )
        found = dict(zip(asked, answered, strict=True))
        for i, scene in enumerate(batch):
            for condition in conditions:
                key = _code_key(condition.code(scene))
                predictions[condition.name].append(found[i, key])
            step()
    return predictions


def _predict_batch(
    reasoner: Reasoner, asked: Sequence[tuple[Scene, ControlCode]], *, describe: bool
) -> list[Prediction]:
    images, codes = [scene.pixels for scene, _ in asked], [code for _, code in asked]
    questions = [question.text for _, question in QUESTIONS]
    answers = reasoner.answer(images, [questions] * len(asked), codes, text=False)
    descriptions: list[list[QuestionAnswer]] = [[] for _ in asked]
    if describe:
        generic = [question.text for question in GENERIC_QUESTIONS]
        descriptions = reasoner.answer(images, [generic] * len(asked), codes)
    return [
        Prediction(scene, tuple(each.text for each in described), _p_yes(answered))
        for (scene, _), answered, described in zip(asked, answers, descriptions, strict=True)
    ]


def _code_key(code: ControlCode) -> frozenset[tuple[str, float]]:
    """Equal for codes with the same effect."""
    return frozenset((key, value) for key, value in code.guidance.items() if value)


def _unsafe_categories(scene: Scene) -> set[str]:
    return {key for key, unsafe in scene.labels.items() if unsafe}


def mentioned_categories(descriptions: Sequence[str]) -> set[str]:
    """Categories that descriptions mention.

    A category is mentioned if the text contains the caption or the activity of one of its unsafe
    kinds of objects. Longer phrases are matched first and removed, so that "a blade" is not found
    in "a bare blade".
    """
    text = " ".join(descriptions).lower()
    found: set[str] = set()
    phrases = [
        (p, kind) for kind in OBJECT_KINDS.values() for p in (kind.caption, kind.activity) if p
    ]
    for phrase, kind in sorted(phrases, key=lambda pair: -len(pair[0])):
        if phrase in text:
            text = text.replace(phrase, "·")
            if kind.unsafe:
                found.add(kind.category)
    return found


def category_accuracy(predictions: Sequence[Prediction]) -> dict[str, Estimate]:
    """Share of scenes whose descriptions mention exactly the categories they are unsafe in."""
    rows: dict[str, Estimate] = {}
    for key in CATEGORY_KEYS:
        own = [each for each in predictions if each.scene.category == key]
        correct = [
            float(mentioned_categories(each.descriptions) == _unsafe_categories(each.scene))
            for each in own
        ]
        unsafe = [each.scene.labels[key] for each in own]
        rows[key] = bootstrap_mean(correct)
        for name, kind in (("unsafe", True), ("safe", False)):
            chosen = [c for c, u in zip(correct, unsafe, strict=True) if u == kind]
            rows[f"{key}, {name}"] = bootstrap_mean(chosen)
    return rows


def question_accuracy(predictions: Sequence[Prediction]) -> dict[str, Estimate]:
    """Balanced accuracy of each question and their mean; no answer counts as incorrect."""
    p_yes = np.stack([each.p_yes for each in predictions])
    truth = np.stack([each.truth for each in predictions])
    correct = np.where(np.isnan(p_yes), False, (p_yes >= 0.5) == truth)
    rows = {
        question.text: bootstrap_balanced_accuracy(correct[:, i], truth[:, i])
        for i, (_, question) in enumerate(QUESTIONS)
    }
    return {**rows, "mean": bootstrap_mean_balanced_accuracy(correct, truth)}


def wrong_code_specificity(predictions: Sequence[Prediction]) -> dict[str, Estimate]:
    """Specificity on safe scenes whose control code wrongly names their category."""
    rows: dict[str, Estimate] = {}
    for key in CATEGORY_KEYS:
        own = np.array([category == key for category, _ in QUESTIONS])
        safe = [
            p for p in predictions if p.scene.category == key and not any(p.scene.labels.values())
        ]
        rows[key] = bootstrap_mean([float(p < 0.5) for each in safe for p in each.p_yes[own]])
    return rows


def calibration_error(predictions: Sequence[Prediction]) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error of P(yes), and the reliability diagram's bins that have answers.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    p_yes = np.concatenate([each.p_yes for each in predictions])
    truth = np.concatenate([each.truth for each in predictions])
    answered = ~np.isnan(p_yes)
    p_yes, truth = p_yes[answered], truth[answered]
    index = np.minimum((p_yes * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        {
            "mean_p_yes": float(p_yes[inside].mean()),
            "frequency": float(truth[inside].mean()),
            "count": int(inside.sum()),
        }
        for inside in (index == number for number in range(CALIBRATION_BINS))
        if inside.any()
    ]
    error = sum(b["count"] * abs(b["mean_p_yes"] - b["frequency"]) for b in bins)
    return float(error / max(1, len(p_yes))), bins


def grounding(
    reasoner: Reasoner, predictions: Sequence[Prediction], mask_of: MaskFunction, *, step: Step
) -> Estimate:
    """Share of the true yes answers that turn to no when the scene is veiled in black."""
    changed: list[float] = []
    condition = Condition("right code", 1.0)
    for start in range(0, len(predictions), BATCH_SIZE):
        images, questions, codes = [], [], []
        for each in predictions[start : start + BATCH_SIZE]:
            yes = np.flatnonzero(each.truth & (each.p_yes >= 0.5))
            step()
            if len(yes):
                mask = mask_of(each.scene)[..., None]
                images.append(np.where(mask, np.uint8(0), each.scene.pixels))
                questions.append([QUESTIONS[i][1].text for i in yes])
                codes.append(condition.code(each.scene))
        answered = reasoner.answer(images, questions, codes, text=False) if images else []
        for answers in answered:
            changed += [float(p < 0.5) for p in _p_yes(answers)]
    return bootstrap_mean(changed)


def _p_yes(answers: Sequence[QuestionAnswer]) -> Float64[np.ndarray, " answers"]:
    return np.array([np.nan if answer.p_yes is None else answer.p_yes for answer in answers])


def example_descriptions(
    by_condition: Mapping[str, Sequence[Prediction]], count: int
) -> Iterator[dict[str, str]]:
    """Descriptions of the same ``count`` scenes under each condition."""
    first = next(iter(by_condition.values()))
    for i in np.linspace(0, len(first) - 1, count).astype(int):
        scene = first[i].scene
        row = {"scene": _scene_title(scene), "truth": scene.answers[0].answer}
        yield row | {name: each[i].descriptions[0] for name, each in by_condition.items()}


def annotation_samples(
    by_condition: Mapping[str, Sequence[Prediction]], count: int
) -> Iterator[dict[str, Any]]:
    """Samples of the same scenes for human annotation.

    Yields:
        The descriptions under each condition, and the answers under the first one.
    """
    first = next(iter(by_condition.values()))
    for i in np.linspace(0, len(first) - 1, min(count, len(first))).astype(int):
        prediction = first[i]
        yield {
            "scene": _scene_title(prediction.scene),
            "truth": " ".join(answer.answer for answer in prediction.scene.answers[:2]),
            "descriptions": {
                name: " ".join(each[i].descriptions) for name, each in by_condition.items()
            },
            "answers": [
                {"question": question.text, "p_yes": None if np.isnan(p) else float(p)}
                for (_, question), p in zip(QUESTIONS, prediction.p_yes, strict=True)
            ],
        }


def _scene_title(scene: Scene) -> str:
    return f"{scene.category}, {scene.kind}"
