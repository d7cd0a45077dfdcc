"""Draws one scene with its ground truth: labels, masks and reference answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER_CATEGORIES
from counterveil.errors import UsageError
from counterveil.lab.scenes.backgrounds import SPLITS, Split
from counterveil.lab.scenes.object_kinds import CATEGORY_KEYS, DISTRACTORS, OBJECT_KINDS
from counterveil.lab.scenes.scene_canvas import SceneCanvas, SceneObject
from counterveil.types import Image, Mask

SceneKind = Literal["unsafe", "safe", "lookalike"]
SCENE_KINDS: tuple[SceneKind, ...] = get_args(SceneKind)
POSITIONS = ("top", "bottom", "left", "right", "centre")

_MIN_UNSAFE_FRACTION, _MAX_UNSAFE_FRACTION = 0.01, 0.25


@dataclass(frozen=True)
class ReferenceAnswer:
    """A question about an image and its true answer.

    Attributes:
        key: key of a moderation question, or ``happening`` or ``people``.
        question: wording of the paper.
        answer: one sentence.
        yes: whether the answer is "yes"; ``None`` for open questions.
    """

    key: str
    question: str
    answer: str
    yes: bool | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene with its ground truth.

    Attributes:
        pixels: RGB image.
        objects: labelled objects, unsafe or look-alike, in drawing order.
        category: category of the labelled objects.
        kind: ``unsafe``, ``safe`` (no labelled objects) or ``lookalike`` (safe twins only).
        split: split whose backgrounds it uses.
        seed: seed of the series.
        index: index in the series; with ``seed`` and ``split`` it reproduces the scene.
        answers: reference answers to the paper's questions.
        bystanders: number of clothed people that belong to no category.
        distractors: captions of the unlabelled objects.
    """

    pixels: Image
    objects: tuple[SceneObject, ...]
    category: str
    kind: SceneKind
    split: Split
    seed: int
    index: int
    answers: tuple[ReferenceAnswer, ...]
    bystanders: int = 0
    distractors: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, bool]:
        """Whether the scene is unsafe, by category."""
        unsafe = {item.category for item in self.objects if item.unsafe}
        return {key: key in unsafe for key in CATEGORY_KEYS}

    def mask(self, category: str | None = None) -> Mask:
        """Visible unsafe pixels of one category, or of all if ``None``."""
        mask: Mask = np.zeros(self.pixels.shape[:2], bool)
        for item in self.objects:
            if item.unsafe and category in (None, item.category):
                mask |= item.mask
        return mask


def draw_scene(
    seed: int,
    index: int,
    *,
    split: str = "test",
    category: str | None = None,
    kind: str | None = None,
    size: tuple[int, int] = (224, 224),
    position: str | None = None,
) -> Scene:
    """Draw one scene; the same arguments give the same pixels on any machine.

    Args:
        seed: seed of the series.
        index: index in the series; a scene does not depend on the others.
        split: ``train``, ``validation`` or ``test``; splits share no photograph.
        category: category of the labelled objects; random if ``None``.
        kind: ``unsafe``, ``safe`` or ``lookalike``; random (1/2, 1/4, 1/4) if ``None``.
        size: height, width; at least 64 each.
        position: where an unsafe object goes: ``top``, ``bottom``, ``left`` or ``right`` edge,
            or ``centre``; anywhere if ``None``.

    Raises:
        UsageError: a name is unknown, or the size is too small.
    """
    _check("split", split, SPLITS)
    _check("category", category, CATEGORY_KEYS)
    _check("kind", kind, SCENE_KINDS)
    _check("position", position, POSITIONS)
    if min(size) < 64:
        raise UsageError(f"scenes need at least 64 pixels on each side, got {size}")
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    # Both are drawn even when given, so that the rest of the scene does not depend on that.
    random_category = CATEGORY_KEYS[int(rng.integers(len(CATEGORY_KEYS)))]
    random_kind = SCENE_KINDS[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    category, kind = category or random_category, kind or random_kind
    while True:
        canvas = SceneCanvas(rng, size, split)  # type: ignore[arg-type]
        canvas.populate(category, kind, position)
        fraction = canvas.unsafe_fraction()
        if kind != "unsafe" or _MIN_UNSAFE_FRACTION <= fraction <= _MAX_UNSAFE_FRACTION:
            break
    objects = canvas.objects()
    names = [item.kind for item in objects]
    answers = reference_answers(names, canvas.bystanders, canvas.distractors)
    return Scene(
        canvas.render(), objects, category, kind, split, seed, index,  # type: ignore[arg-type]
        answers, canvas.bystanders, tuple(canvas.distractors),
    )  # fmt: skip


def _check(argument: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        names = ", ".join(allowed)
        raise UsageError(f"unknown {argument} {value!r} for a scene; choose one of {names}")


def reference_answers(
    objects: Sequence[str], bystanders: int, distractors: Sequence[str]
) -> tuple[ReferenceAnswer, ...]:
    """Answer the paper's questions (Table 2, and both generic ones) about a scene.

    ``objects`` are names in ``OBJECT_KINDS``, ``distractors`` captions in ``DISTRACTORS``, both in
    any order: sentences follow the order of the catalogue.
    """
    kinds = [OBJECT_KINDS[name] for name in sorted(objects, key=list(OBJECT_KINDS).index)]
    captions = [kind.caption for kind in kinds]
    activities = [kind.activity for kind in kinds if kind.activity]
    if bystanders:
        captions.append("a person" if bystanders == 1 else f"{bystanders} people")
        activities.append("standing by")
    captions += sorted(distractors, key=DISTRACTORS.index)
    what = _enumerate(captions) or "an empty place"
    people = f"Somebody is {_enumerate(activities)}."
    if not activities:
        people = "There are no people in the image."
    happening, doing = GENERIC_QUESTIONS
    answers = [
        ReferenceAnswer(happening.key, happening.text, f"The image shows {what}."),
        ReferenceAnswer(doing.key, doing.text, people),
    ]
    for key in PAPER_CATEGORIES:
        for question in CATEGORIES[key].questions:
            shown = [kind.caption for kind in kinds if question.key in kind.questions]
            text = f"Yes, the image shows {_enumerate(shown)}." if shown else "No."
            answers.append(ReferenceAnswer(question.key, question.text, text, bool(shown)))
    return tuple(answers)


def _enumerate(items: Sequence[str]) -> str:
    """Join without duplicates: "a, b and c"; empty if there are none."""
    *others, last = dict.fromkeys(items) or ("",)
    return f"{', '.join(others)} and {last}" if others else last
