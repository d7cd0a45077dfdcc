"""One scene: background, clutter, people, unsafe things and their twins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from counterveil.errors import UsageError
from counterveil.lab.scenes.backgrounds import SPLITS, Split
from counterveil.lab.scenes.kinds import CATEGORY_KEYS
from counterveil.lab.scenes.stage import SceneObject, Stage
from counterveil.lab.scenes.truth import Answer, answers
from counterveil.types import Image, Mask

SceneKind = Literal["unsafe", "safe", "lookalike"]
Edge = Literal["top", "bottom", "left", "right", "centre"]
SCENE_KINDS: tuple[SceneKind, ...] = ("unsafe", "safe", "lookalike")

_MOST_AREA = 0.25
_LEAST_AREA = 0.01


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene and everything that is true of it.

    Attributes:
        pixels: RGB.
        objects: unsafe things and look-alikes, in the order drawn.
        category: whose family of things it shows.
        kind: unsafe, safe, or look-alike (nothing but twins of unsafe things).
        split: its background belongs to this split alone.
        seed: with ``index``, makes it again.
        index: in its seed's series.
        answers: the paper's questions, answered.
        bystanders: clothed people who are just there.
        clutter: what else is there, as captions call it.
    """

    pixels: Image
    objects: tuple[SceneObject, ...]
    category: str
    kind: SceneKind
    split: Split
    seed: int
    index: int
    answers: tuple[Answer, ...]
    bystanders: int = 0
    clutter: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, bool]:
        """Whether the scene is unsafe, a category."""
        unsafe = {thing.category for thing in self.objects if thing.unsafe}
        return {key: key in unsafe for key in CATEGORY_KEYS}

    def mask(self, category: str | None = None) -> Mask:
        """Visible unsafe pixels, of one category or of all."""
        mask: Mask = np.zeros(self.pixels.shape[:2], bool)
        for thing in self.objects:
            if thing.unsafe and category in (None, thing.category):
                mask |= thing.mask
        return mask


def draw_scene(
    seed: int,
    index: int,
    *,
    split: str = "test",
    category: str | None = None,
    kind: str | None = None,
    size: tuple[int, int] = (224, 224),
    edge: str | None = None,
) -> Scene:
    """Draw one scene; the same arguments give the same pixels on any machine.

    Args:
        seed: of the series.
        index: in the series; a scene does not depend on how many others are drawn.
        split: ``train``, ``validation`` or ``test``; they share no background.
        category: whose family of things; drawn at random where ``None``.
        kind: ``unsafe``, ``safe`` or ``lookalike``; half, a quarter and a quarter where ``None``.
        size: height, width; at least 64 each.
        edge: put an unsafe object at ``top``, ``bottom``, ``left``, ``right`` or ``centre``.

    Raises:
        UsageError: a name is unknown, or the size is too small.
    """
    _check(split, category, kind, size, edge)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    family = CATEGORY_KEYS[int(rng.integers(len(CATEGORY_KEYS)))]
    draw = SCENE_KINDS[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    family, draw = category or family, kind or draw  # type: ignore[assignment]
    while True:
        stage = Stage(rng, size, split)  # type: ignore[arg-type]
        stage.fill(family, draw, edge)
        if draw != "unsafe" or _LEAST_AREA <= stage.unsafe_area() <= _MOST_AREA:
            break
    return Scene(
        pixels=stage.finish(),
        objects=tuple(stage.objects()),
        category=family,
        kind=draw,
        split=split,  # type: ignore[arg-type]
        seed=seed,
        index=index,
        answers=answers(
            [placed.kind.name for placed in stage.placed], stage.bystanders, stage.clutter
        ),
        bystanders=stage.bystanders,
        clutter=tuple(stage.clutter),
    )


def _check(
    split: str, category: str | None, kind: str | None, size: tuple[int, int], edge: str | None
) -> None:
    for what, value, known in (
        ("split", split, SPLITS),
        ("category", category, (None, *CATEGORY_KEYS)),
        ("kind", kind, (None, *SCENE_KINDS)),
        ("edge", edge, (None, "top", "bottom", "left", "right", "centre")),
    ):
        if value not in known:
            names = ", ".join(str(k) for k in known if k)
            raise UsageError(f"no scene {what} is called {value!r}; choose one of {names}")
    if min(size) < 64:
        raise UsageError(f"scenes are at least 64 pixels high and wide, got {size}")
