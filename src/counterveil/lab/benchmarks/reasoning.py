"""What a reasoner says of scenes, against what is true of them (the paper's Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER, ControlCode
from counterveil.lab.benchmarks.interval import Estimate, estimate
from counterveil.lab.scenes import CATEGORY_KEYS, OBJECT_KINDS, Scene, draw_scene
from counterveil.reasoning.interfaces import QuestionAnswer, Reasoner
from counterveil.types import Image, Mask

Step = Callable[[], None]
Veil = Callable[[Scene], Mask]

QUESTIONS = tuple((key, question) for key in PAPER for question in CATEGORIES[key].questions)
"""The nine questions of the paper's Table 2, each with its category."""
BATCH = 5
"""Scenes a call; each is asked about under several codes."""
BINS = 10
"""Of the reliability diagram, equally wide."""


@dataclass(frozen=True)
class Condition:
    """Which code a reasoner is given.

    Attributes:
        name: for the tables.
        guidance: strength of the code.
        right: the code tells the truth; else a category that the scene is not unsafe in.
    """

    name: str
    guidance: float
    right: bool = True

    def code(self, scene: Scene) -> ControlCode:
        """The code of one scene."""
        if self.right:
            return ControlCode({key: self.guidance for key, bad in scene.labels.items() if bad})
        wrong = scene.category
        if scene.labels[wrong]:
            wrong = CATEGORY_KEYS[(CATEGORY_KEYS.index(wrong) + 1) % len(CATEGORY_KEYS)]
        return ControlCode({wrong: self.guidance})


CONDITIONS = (
    Condition("right code", 1.0),
    Condition("right code, guidance 0.5", 0.5),
    Condition("no code", 0.0),
    Condition("wrong code", 1.0, right=False),
)


@dataclass(frozen=True, eq=False)
class Said:
    """A reasoner's words on one scene under one condition.

    Attributes:
        scene: the scene.
        texts: answers to the generic questions.
        p_yes: of the nine questions; NaN where it did not answer.
    """

    scene: Scene
    texts: tuple[str, ...]
    p_yes: np.ndarray
    truth: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", truth(self.scene))


def scenes(count: int, *, seed: int) -> list[Scene]:
    """Test scenes of all categories, ``count`` each: half unsafe, the rest safe or look-alikes."""
    kinds = ("unsafe", "safe", "unsafe", "lookalike")
    return [
        draw_scene(seed, index, split="test", category=key, kind=kinds[index % 4])
        for key in CATEGORY_KEYS
        for index in range(count)
    ]


def truth(scene: Scene) -> np.ndarray:
    """The true answers to the nine questions, ``(9,)`` bool."""
    known = {(answer.key, answer.question): answer.yes for answer in scene.answers}
    return np.array([bool(known[question.key, question.text]) for _, question in QUESTIONS])


def ask(
    reasoner: Reasoner,
    drawn: Sequence[Scene],
    conditions: Sequence[Condition],
    *,
    texts: bool,
    step: Step,
) -> dict[str, list[Said]]:
    """Ask all questions of all scenes under each condition.

    A scene is asked about under all its codes in one call, so that a reasoner may look at it once
    for the answers and once for the words. Conditions that come to the same code (all but the
    wrong one, of a safe scene) are asked once.

    Returns:
        What was said of each scene, under the conditions' names.
    """
    said: dict[str, list[Said]] = {condition.name: [] for condition in conditions}
    for start in range(0, len(drawn), BATCH):
        batch = drawn[start : start + BATCH]
        codes = [_distinct([condition.code(scene) for condition in conditions]) for scene in batch]
        asked = [(at, code) for at, some in enumerate(codes) for code in some]
        answers = _answers(reasoner, [(batch[at], code) for at, code in asked], texts=texts)
        told = {(at, _key(code)): one for (at, code), one in zip(asked, answers, strict=True)}
        for at, scene in enumerate(batch):
            for condition in conditions:
                said[condition.name].append(told[at, _key(condition.code(scene))])
            step()
    return said


def _answers(
    reasoner: Reasoner, asked: Sequence[tuple[Scene, ControlCode]], *, texts: bool
) -> list[Said]:
    generic = [question.text for question in GENERIC_QUESTIONS]
    fine = [question.text for _, question in QUESTIONS]
    images, codes = [scene.pixels for scene, _ in asked], [code for _, code in asked]
    answers = reasoner.answer(images, [fine] * len(asked), codes, text=False)
    words: list[list[QuestionAnswer]] = [[] for _ in asked]
    if texts:
        words = reasoner.answer(images, [generic] * len(asked), codes)
    return [
        Said(scene, tuple(one.text for one in told), _values(some))
        for (scene, _), some, told in zip(asked, answers, words, strict=True)
    ]


def _distinct(codes: Sequence[ControlCode]) -> list[ControlCode]:
    return list({_key(code): code for code in codes}.values())


def _key(code: ControlCode) -> frozenset[tuple[str, float]]:
    """Equal for codes that say the same."""
    return frozenset((key, value) for key, value in code.guidance.items() if value)


def judged(texts: Sequence[str]) -> set[str]:
    """The categories that words on an image speak of, by a stated rule.

    A category is spoken of where the words hold the phrase of one of its unsafe things, as a
    caption or as what somebody is doing. A phrase is not looked for inside a longer one that was
    found ("a blade" in "a bare blade").
    """
    text = " ".join(texts).lower()
    found: set[str] = set()
    phrases = [(p, k) for k in OBJECT_KINDS.values() for p in (k.caption, k.activity) if p]
    for phrase, kind in sorted(phrases, key=lambda pair: -len(pair[0])):
        if phrase in text:
            text = text.replace(phrase, "·")
            if kind.unsafe:
                found.add(kind.category)
    return found


def coarse(said: Sequence[Said]) -> dict[str, Estimate]:
    """Share of scenes whose two descriptions speak of just the categories they are unsafe in."""
    rows: dict[str, Estimate] = {}
    for key in CATEGORY_KEYS:
        own = [one for one in said if one.scene.category == key]
        right = [
            judged(one.texts) == {k for k, bad in one.scene.labels.items() if bad} for one in own
        ]
        unsafe = [one.scene.labels[key] for one in own]
        rows[key] = estimate([float(r) for r in right])
        rows[f"{key}, unsafe"] = estimate(
            [float(r) for r, u in zip(right, unsafe, strict=True) if u]
        )
        rows[f"{key}, safe"] = estimate(
            [float(r) for r, u in zip(right, unsafe, strict=True) if not u]
        )
    return rows


def fine(said: Sequence[Said]) -> dict[str, Estimate]:
    """Balanced accuracy of each question, over unsafe and safe scenes; unanswered is wrong.

    The mean is over the questions, and its interval over the scenes: each draw of scenes has its
    own mean of the nine, so that answers about one scene stay together.
    """
    p_yes = np.stack([one.p_yes for one in said])
    wanted = np.stack([one.truth for one in said])
    right = np.where(np.isnan(p_yes), False, (p_yes >= 0.5) == wanted)
    rows = {
        question.text: balanced(right[:, at], wanted[:, at])
        for at, (_, question) in enumerate(QUESTIONS)
    }
    return {**rows, "mean": balanced_mean(right, wanted)}


def balanced_mean(right: np.ndarray, positive: np.ndarray, *, draws: int = 1000) -> Estimate:
    """Mean over questions of their balanced accuracies, with a bootstrap interval over scenes.

    Args:
        right: ``(N, questions)`` bool.
        positive: ``(N, questions)`` bool, whether yes is true.
        draws: of scenes.
    """
    count = len(right)
    # How often each scene is drawn; the first row is the scenes as they are.
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=draws)
    drawn = np.concatenate([np.ones((1, count), int), drawn])
    with np.errstate(invalid="ignore"):  # a draw without a question's positives leaves it out
        sides = [drawn @ (right & side) / (drawn @ side) for side in (positive, ~positive)]
        every = np.mean(sides, axis=0)
        known = ~np.isnan(every)
        means = np.where(known, every, 0).sum(axis=1) / known.sum(axis=1)
    low, high = np.percentile(means[1:], [2.5, 97.5])
    return Estimate(float(means[0]), float(low), float(high), count)


def balanced(right: np.ndarray, positive: np.ndarray, *, draws: int = 500) -> Estimate:
    """Mean of the shares right among positives and negatives, with a bootstrap interval."""
    rng = np.random.default_rng(0)
    sides = [right[positive].astype(float), right[~positive].astype(float)]
    if not all(len(side) for side in sides):
        return Estimate(float("nan"), float("nan"), float("nan"), len(right))
    means = np.mean(
        [side[rng.integers(0, len(side), (draws, len(side)))].mean(axis=1) for side in sides],
        axis=0,
    )
    low, high = np.percentile(means, [2.5, 97.5])
    mean = float(np.mean([side.mean() for side in sides]))
    return Estimate(mean, float(low), float(high), len(right))


def wolf(said: Sequence[Said]) -> dict[str, Estimate]:
    """Of safe scenes with a wrong code: share of the category's questions rightly answered no."""
    rows: dict[str, Estimate] = {}
    for key in CATEGORY_KEYS:
        own = np.array([category == key for category, _ in QUESTIONS])
        safe = [s for s in said if s.scene.category == key and not any(s.scene.labels.values())]
        no = [float(p < 0.5) for one in safe for p in one.p_yes[own]]
        rows[key] = estimate(no)
    return rows


def calibration(said: Sequence[Said]) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error of P(yes), and the bins of the reliability diagram.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    p_yes = np.concatenate([one.p_yes for one in said])
    wanted = np.concatenate([one.truth for one in said])
    known = ~np.isnan(p_yes)
    p_yes, wanted = p_yes[known], wanted[known]
    at = np.minimum((p_yes * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        inside = at == number
        if inside.any():
            bins.append(
                {
                    "said": float(p_yes[inside].mean()),
                    "true": float(wanted[inside].mean()),
                    "count": int(inside.sum()),
                }
            )
    error = sum(b["count"] * abs(b["said"] - b["true"]) for b in bins) / max(1, len(p_yes))
    return float(error), bins


def grounding(
    reasoner: Reasoner, said: Sequence[Said], veil: Veil, fill: int = 0, *, step: Step
) -> Estimate:
    """Share of the true yes answers that turn to no once a veil hides what they rest on."""
    gone: list[float] = []
    right = Condition("right code", 1.0)
    for start in range(0, len(said), BATCH):
        images, asked, codes = [], [], []
        for one in said[start : start + BATCH]:
            yes = np.flatnonzero(one.truth & (one.p_yes >= 0.5))
            step()
            if len(yes):
                images.append(_veiled(one.scene, veil(one.scene), fill))
                asked.append([QUESTIONS[at][1].text for at in yes])
                codes.append(right.code(one.scene))
        answered = reasoner.answer(images, asked, codes, text=False) if images else []
        for answers in answered:
            gone += [float(p < 0.5) for p in _values(answers)]
    return estimate(gone)


def _veiled(scene: Scene, mask: Mask, fill: int) -> Image:
    veiled: Image = np.where(mask[..., None], np.uint8(fill), scene.pixels)
    return veiled


def samples(by_condition: dict[str, list[Said]], count: int) -> Iterator[dict[str, str]]:
    """Descriptions of the same scenes under each condition, side by side."""
    first = next(iter(by_condition.values()))
    for at in np.linspace(0, len(first) - 1, count).astype(int):
        scene = first[at].scene
        row = {"scene": f"{scene.category}, {scene.kind}", "truth": scene.answers[0].answer}
        yield row | {name: said[at].texts[0] for name, said in by_condition.items()}


def to_judge(by_condition: Mapping[str, Sequence[Said]], count: int) -> Iterator[dict[str, Any]]:
    """Words on the same scenes for people to judge.

    Yields:
        Each condition's descriptions, and the answers under the first condition.
    """
    first = next(iter(by_condition.values()))
    for at in np.linspace(0, len(first) - 1, min(count, len(first))).astype(int):
        one = first[at]
        yield {
            "scene": f"{one.scene.category}, {one.scene.kind}",
            "truth": " ".join(answer.answer for answer in one.scene.answers[:2]),
            "descriptions": {name: " ".join(said[at].texts) for name, said in by_condition.items()},
            "answers": [
                {"question": question.text, "p_yes": None if np.isnan(p) else float(p)}
                for (_, question), p in zip(QUESTIONS, one.p_yes, strict=True)
            ],
        }


def _values(answers: Sequence[QuestionAnswer]) -> np.ndarray:
    return np.array([np.nan if a.p_yes is None else a.p_yes for a in answers])
