"""What a reasoner learns from: images, and what is true of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation

from counterveil.errors import ImageError
from counterveil.images import load
from counterveil.lab.scenes import OBJECT_KINDS, ReferenceAnswer, coco, reference_answers
from counterveil.types import Mask

_MARGIN = 6
"""Most pixels by which a veil is wider than what it hides."""


@dataclass(frozen=True)
class Truth:
    """What is true of an image.

    Attributes:
        answers: to every question.
        flagged: keys of the categories that it is unsafe in.
        things: what is in sight, as kinds and captions call it, where it is a scene.
    """

    answers: tuple[ReferenceAnswer, ...]
    flagged: tuple[str, ...]
    things: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Example:
    """An image to learn from.

    Attributes:
        image: its path.
        split: train, validation or test.
        truth: of the image as it is.
        scene: what it was drawn from, where it is a scene; things of it can be veiled then.
    """

    image: Path
    split: str
    truth: Truth
    scene: coco.SceneFile | None = None

    def veiled(self, rng: np.random.Generator) -> tuple[Mask, Truth] | None:
        """A veil over some of the things, and what is then true; ``None`` where none is known."""
        if self.scene is None or not self.scene.annotations:
            return None
        things = self.scene.annotations
        unsafe = np.array([bool(thing["unsafe"]) for thing in things])
        # Mostly what a veil is for: everything unsafe.
        hidden = unsafe if unsafe.any() and rng.random() < 0.7 else rng.random(len(things)) < 0.6
        if not hidden.any():
            return None
        veil = np.logical_or.reduce([_mask(t) for t, h in zip(things, hidden, strict=True) if h])
        grown = int(rng.integers(0, _MARGIN + 1))
        veil = binary_dilation(veil, iterations=grown) if grown else veil
        left = [t for t, h in zip(things, hidden, strict=True) if not h and _shown(t, veil)]
        return veil, scene_truth(self.scene, left)

    def alone(self) -> Example:
        """The same things with nobody and nothing around them, as on another ground."""
        assert self.scene is not None
        scene = replace(self.scene, bystanders=0, distractors=())
        return replace(self, truth=scene_truth(scene, scene.annotations), scene=scene)

    def things(self, shape: tuple[int, int]) -> Mask:
        """Where things are, in an image of that shape; nowhere where that is not known."""
        seen = np.zeros(shape, bool)
        for thing in self.scene.annotations if self.scene else ():
            seen |= _mask(thing)
        return seen


def scene_examples(folder: Path) -> tuple[Example, ...]:
    """The scenes of a folder, with the truth of each."""
    return tuple(
        Example(scene.image, scene.split, scene_truth(scene, scene.annotations), scene)
        for scene in coco.load(folder)
    )


def readable(
    examples: Sequence[Example], *, report: Callable[[str], None], step: Callable[[], None]
) -> list[Example]:
    """Those whose images can be read; the others are named, and end no training half-way."""
    found = []
    for example in examples:
        try:
            load(example.image)
        except ImageError as error:
            report(f"left out {example.image}: {error}")
        else:
            found.append(example)
        step()
    return found


def scene_truth(scene: coco.SceneFile, things: Any) -> Truth:
    """What is true of a scene in which only these things are seen."""
    names = [_NAMES[thing["category_id"]] for thing in things]
    flagged = {OBJECT_KINDS[name].category for name in names if OBJECT_KINDS[name].unsafe}
    return Truth(
        reference_answers(names, scene.bystanders, scene.distractors),
        tuple(key for key in scene.labels if key in flagged),
        (*names, *scene.distractors, *["a person"] * scene.bystanders),
    )


_NAMES = dict(enumerate(OBJECT_KINDS, 1))


def _mask(thing: Mapping[str, Any]) -> Mask:
    coded = thing["segmentation"]
    return coco.decode_rle(tuple(coded["size"]), list(coded["counts"]))


def _shown(thing: Mapping[str, Any], veil: Mask) -> bool:
    """Whether a neighbour's veil leaves most of a thing in sight."""
    mask = _mask(thing)
    return bool((mask & ~veil).sum() > 0.5 * mask.sum())
