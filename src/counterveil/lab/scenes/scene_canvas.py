"""Canvas of one scene: places labelled objects and distractors, and tracks what stays visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from counterveil.lab.scenes import object_kinds
from counterveil.lab.scenes.backgrounds import Split, random_background
from counterveil.lab.scenes.object_kinds import DISTRACTORS, DrawFunction, ObjectKind
from counterveil.lab.scenes.unit_canvas import BoxProjection, Layer, Palette, UnitBox, UnitCanvas
from counterveil.types import Image, Mask

MIN_VISIBLE_FRACTION = 0.65
"""Of an object's drawn pixels; with fewer nobody could recognise it."""
_MIN_VISIBLE_BOX_FRACTION = 0.85
"""The same for the discriminative box."""
_MIN_CONTRAST = 60.0
"""Median colour difference from the background, summed over the channels."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """A labelled object and its visible pixels.

    Attributes:
        kind: name in ``OBJECT_KINDS``.
        category: category of the kind.
        unsafe: whether it makes the scene unsafe.
        mask: visible pixels, ``(H, W)``.
        visible: visible share of its drawn pixels.
        attributes: what it shows, angle in degrees, fill colour, outline width.
    """

    kind: str
    category: str
    unsafe: bool
    mask: Mask
    visible: float
    attributes: Mapping[str, Any]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box as x, y, width, height."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A rendered object that is not on the scene yet."""

    layer: Layer
    mask: Mask
    box: BoxProjection
    attributes: Mapping[str, Any]


@dataclass(eq=False)
class _PlacedObject:
    """What is still visible of an object, and of its discriminative box."""

    kind: ObjectKind
    drawn: _Candidate
    visible: Mask
    visible_box: Mask


@dataclass(eq=False)
class SceneCanvas:
    """Background of a split, ``size`` = height, width, and the objects placed on it.

    All random numbers come from ``rng``, in an order that must not change: the pixels of a seed
    depend on it.
    """

    rng: np.random.Generator
    size: tuple[int, int]
    split: Split
    distractors: list[str] = field(default_factory=list)
    bystanders: int = 0
    _placed: list[_PlacedObject] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pixels = random_background(self.rng, *self.size, self.split)

    def populate(self, category: str, scene_kind: str, position: str | None) -> None:
        """Draw distractors behind, the labelled objects, and distractors in front.

        ``position`` is where the first unsafe object goes; anywhere if ``None``.
        """
        for _ in range(int(self.rng.integers(0, 4))):
            self._add_distractor()
        if self.rng.random() < 0.35:
            self._composite(self._render(object_kinds.draw_bystander, (0.25, 0.5), max_rotation=6))
            self.bystanders += 1
        for kind in self._choose_kinds(category, scene_kind):
            first = kind.unsafe and not any(placed.kind.unsafe for placed in self._placed)
            self._place(kind, position if first else None)
        for _ in range(int(self.rng.integers(0, 3))):
            self._occlude()

    def _choose_kinds(self, category: str, scene_kind: str) -> list[ObjectKind]:
        """Between one and three kinds, distributed alike in unsafe and in look-alike scenes."""
        if scene_kind == "safe":
            return []
        total = int(self.rng.integers(1, 4))
        unsafe = int(self.rng.integers(1, total + 1)) if scene_kind == "unsafe" else 0
        chosen: list[ObjectKind] = []
        for count, is_unsafe in ((unsafe, True), (total - unsafe, False)):
            kinds = object_kinds.kinds_of(category, unsafe=is_unsafe)
            chosen += [kinds[int(i)] for i in self.rng.integers(0, len(kinds), count)]
        # An unsafe object comes first, as nothing is in its way yet.
        first, rest = chosen[: min(unsafe, 1)], chosen[min(unsafe, 1) :]
        self.rng.shuffle(rest)
        return first + rest

    def _place(self, kind: ObjectKind, position: str | None) -> None:
        """Place an object where it hides none of the others; give up after twelve attempts."""
        for attempt in range(12):
            area = float(np.exp(self.rng.uniform(np.log(kind.min_area), np.log(0.16))))
            area = max(kind.min_area, area * 0.8**attempt)
            sides = (np.sqrt(area) * 1.35, np.sqrt(area) * 1.9)
            candidate = self._render(
                kind.draw, sides, kind.max_rotation, position=position,
                box=kind.discriminative_box, has_text=kind.has_text,
            )  # fmt: skip
            if self._is_acceptable(kind, candidate, position):
                self._composite(candidate)
                placed = _PlacedObject(kind, candidate, candidate.mask, candidate.box.mask)
                self._placed.append(placed)
                return

    def _is_acceptable(self, kind: ObjectKind, candidate: _Candidate, position: str | None) -> bool:
        """Whether the candidate is recognisable, where it should be, and hides no other object."""
        mask, layer = candidate.mask, candidate.layer
        edges = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
        edge = edges.get(position or "")
        if edge is not None and not edge.any():
            return False
        if layer.inside_fraction < (0.75 if edge is None else 0.8):
            return False
        if not _is_box_visible(candidate.box, candidate.box.mask):
            return False
        if not self._has_contrast(layer) or mask.sum() < kind.min_area * 0.45 * mask.size:
            return False
        return not any(((o.visible | o.visible_box) & mask).any() for o in self._placed)

    def _has_contrast(self, layer: Layer) -> bool:
        behind = self._pixels[layer.window]
        inside = layer.alpha > 0.5
        if not inside.any():
            return False
        difference = np.abs(layer.colours[inside] - behind[inside]).sum(axis=1)
        return bool(np.median(difference) >= _MIN_CONTRAST)

    def _add_distractor(self) -> None:
        distractor = self._render_distractor((0.15, 0.45), max_rotation=10)
        self._composite(distractor)
        self.distractors.append(distractor.attributes["shows"])

    def _occlude(self) -> None:
        """Put a distractor in front, unless it would make an object unrecognisable."""
        distractor = self._render_distractor((0.1, 0.3), max_rotation=15)
        free = ~distractor.mask
        for placed in self._placed:
            if (placed.visible & free).sum() < MIN_VISIBLE_FRACTION * placed.drawn.mask.sum():
                return
            if not _is_box_visible(placed.drawn.box, placed.visible_box & free):
                return
        for placed in self._placed:
            placed.visible = placed.visible & free
            placed.visible_box = placed.visible_box & free
        self._composite(distractor)
        self.distractors.append(distractor.attributes["shows"])

    def _render_distractor(self, sides: tuple[float, float], max_rotation: float) -> _Candidate:
        caption = DISTRACTORS[int(self.rng.integers(len(DISTRACTORS)))]
        draw = partial(object_kinds.draw_distractor, caption=caption)
        return self._render(draw, sides, max_rotation)

    def _random_placement(
        self, sides: tuple[float, float], position: str | None
    ) -> tuple[tuple[float, float], float]:
        """Random centre (x, y) and side; ``sides`` are relative to the root of the image area."""
        height, width = self.size
        side = float(self.rng.uniform(*sides)) * float(np.sqrt(height * width))
        x, y = self.rng.uniform(0.0, 1.0, 2)
        if position == "centre":
            x, y = self.rng.uniform(0.4, 0.6, 2)
        inset = side * float(self.rng.uniform(0.30, 0.48))
        at_edge = {
            "left": (inset, y * height), "right": (width - inset, y * height),
            "top": (x * width, inset), "bottom": (x * width, height - inset),
        }  # fmt: skip
        cx, cy = at_edge.get(position or "", (x * width, y * height))
        return (float(cx), float(cy)), side

    def _render(
        self, draw: DrawFunction, sides: tuple[float, float], max_rotation: float, *,
        position: str | None = None, box: UnitBox = (0, 0, 1, 1), has_text: bool = False,
    ) -> _Candidate:  # fmt: skip
        centre, side = self._random_placement(sides, position)
        palette = Palette.random(self.rng)
        angle = float(self.rng.uniform(-max_rotation, max_rotation))
        # Drawn before it may be discarded, so that text costs as many random numbers as the rest.
        mirrored = bool(self.rng.random() < 0.5) and not has_text
        canvas = UnitCanvas(
            self.size, centre=centre, side=side, angle=angle, mirrored=mirrored, palette=palette
        )
        attributes = {
            "shows": draw(canvas, self.rng), "angle": round(angle, 1),
            "fill": list(palette.fill), "outline": palette.outline_width,
        }  # fmt: skip
        layer = canvas.layer()
        mask = np.zeros(self.size, bool)
        mask[layer.window] = layer.alpha > 0.5
        layer = replace(layer, colours=_shade(layer.colours, self.rng))
        return _Candidate(layer, mask, canvas.project(box), MappingProxyType(attributes))

    def _composite(self, candidate: _Candidate) -> None:
        behind = self._pixels[candidate.layer.window]
        behind += candidate.layer.alpha[..., None] * (candidate.layer.colours - behind)

    def unsafe_fraction(self) -> float:
        """Share of the image that visible unsafe pixels cover."""
        masks = [placed.visible for placed in self._placed if placed.kind.unsafe]
        return float(np.logical_or.reduce(masks).mean()) if masks else 0.0

    def objects(self) -> tuple[SceneObject, ...]:
        """The labelled objects in drawing order."""
        return tuple(
            SceneObject(
                placed.kind.name, placed.kind.category, placed.kind.unsafe, placed.visible,
                float(placed.visible.sum() / placed.drawn.mask.sum()), placed.drawn.attributes,
            )
            for placed in self._placed
        )  # fmt: skip

    def render(self) -> Image:
        """Apply brightness and noise, drawn alike for every scene, and round to ``uint8``."""
        brightness = np.float32(self.rng.uniform(0.85, 1.12))
        noise = self.rng.normal(0, self.rng.uniform(0, 6), self._pixels.shape[:2])
        pixels = self._pixels * brightness
        pixels += noise[..., None].astype(np.float32)
        np.clip(np.rint(pixels, out=pixels), 0, 255, out=pixels)
        return pixels.astype(np.uint8)


def _is_box_visible(box: BoxProjection, visible: Mask) -> bool:
    return bool(visible.sum() >= _MIN_VISIBLE_BOX_FRACTION * box.area)


def _shade(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light half of the objects from one side; ``colours`` are ``(h, w, 3)``."""
    if rng.random() < 0.5:
        return colours
    height, width = colours.shape[:2]
    theta = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    light = 1 + 0.22 * (x * np.cos(theta) + y * np.sin(theta))
    shaded: np.ndarray = colours * light[..., None].astype(np.float32)
    return shaded
