"""The canvas of a scene, and who stands on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from counterveil.lab.scenes import clutter as things
from counterveil.lab.scenes.backgrounds import Split, background
from counterveil.lab.scenes.kinds import Box, Kind, kinds_of
from counterveil.lab.scenes.pen import Colour, Drawn, Ink, Part, Pen
from counterveil.types import Image, Mask

LEAST_VISIBLE = 0.65
"""Of an object's drawn area: less could not be recognised by anybody."""
LEAST_TOLD = 0.85
"""Of the part that tells an object from its twin, for the same reason."""
_STANDS_OUT = 60.0
"""Least median difference from what is behind, summed over the channels."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One drawn thing and its visible pixels.

    Attributes:
        kind: name in ``counterveil.lab.scenes.KINDS``.
        category: it belongs to.
        unsafe: whether it makes the scene unsafe.
        mask: its visible pixels.
        visible: share of its drawn pixels that is visible.
        attributes: what it shows, angle, colours.
    """

    kind: str
    category: str
    unsafe: bool
    mask: Mask
    visible: float
    attributes: Mapping[str, Any]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


@dataclass(eq=False)
class Placed:
    """A thing on the stage: what was drawn of it, and what is still visible."""

    kind: Kind
    drawn: Mask
    visible: Mask
    tell: Part
    attributes: Mapping[str, Any]


@dataclass(eq=False)
class Stage:
    """The canvas, and who stands on it.

    Args:
        rng: source of everything random.
        size: height, width.
        split: whose backgrounds.
    """

    rng: np.random.Generator
    size: tuple[int, int]
    split: Split
    placed: list[Placed] = field(default_factory=list)
    clutter: list[str] = field(default_factory=list)
    bystanders: int = 0

    def __post_init__(self) -> None:
        self.canvas = background(self.rng, *self.size, self.split)

    def fill(self, family: str, draw: str, edge: str | None) -> None:
        """Clutter behind, the scene's things, clutter in front."""
        for _ in range(int(self.rng.integers(0, 4))):
            self._add_clutter()
        if self.rng.random() < 0.35:
            self._paint(things.bystander, self._spot(0.25, 0.5), turn=6)
            self.bystanders += 1
        for kind in self._cast(family, draw):
            at_edge = edge if kind.unsafe and not any(p.kind.unsafe for p in self.placed) else None
            self._add_kind(kind, at_edge)
        for _ in range(int(self.rng.integers(0, 3))):
            self._cover_partly()

    def _cast(self, family: str, draw: str) -> list[Kind]:
        """As many things in unsafe scenes as in look-alike ones."""
        if draw == "safe":
            return []
        total = int(self.rng.integers(1, 4))
        unsafe = int(self.rng.integers(1, total + 1)) if draw == "unsafe" else 0
        pools = (kinds_of(family, unsafe=True), kinds_of(family, unsafe=False))
        cast = [pools[0][int(i)] for i in self.rng.integers(0, len(pools[0]), unsafe)]
        cast += [pools[1][int(i)] for i in self.rng.integers(0, len(pools[1]), total - unsafe)]
        if edge_first := [k for k in cast if k.unsafe][:1]:
            cast.remove(edge_first[0])
        self.rng.shuffle(cast)
        return edge_first + cast

    def _add_kind(self, kind: Kind, edge: str | None) -> None:
        """Place a thing where it hides none of the others."""
        for attempt in range(12):
            area = float(np.exp(self.rng.uniform(np.log(kind.smallest), np.log(0.16))))
            area = max(kind.smallest, area * 0.8**attempt)
            spot = self._spot(np.sqrt(area) * 1.35, np.sqrt(area) * 1.9, edge)
            trial = self._draw(kind.draw, spot, kind.turn, kind.tell)
            if self._fits(trial, edge) and self._lays(kind, trial):
                return

    def _fits(self, trial: _Drawing, edge: str | None) -> bool:
        if not _told(trial.tell, trial.tell.mask) or not self._stands_out(trial):
            return False
        if edge is not None and edge != "centre":
            return _touches(self._mask(trial), edge) and trial.drawn.inside >= 0.8
        return trial.drawn.inside >= 0.75

    def _lays(self, kind: Kind, trial: _Drawing) -> bool:
        mask = self._mask(trial)
        if mask.sum() < kind.smallest * 0.45 * mask.size:
            return False
        if any(((p.visible | p.tell.mask) & mask).any() for p in self.placed):
            return False
        self._blend(trial)
        self.placed.append(Placed(kind, mask, mask.copy(), trial.tell, trial.attributes))
        return True

    def _stands_out(self, trial: _Drawing) -> bool:
        behind = self.canvas[trial.drawn.window]
        inside = trial.drawn.alpha > 0.5
        if not inside.any():
            return False
        apart = np.abs(trial.colours[inside] - behind[inside]).sum(axis=1)
        return bool(np.median(apart) >= _STANDS_OUT)

    def _cover_partly(self) -> None:
        """Clutter in front, over at most a third of anything."""
        draw = things.THINGS[int(self.rng.integers(len(things.THINGS)))]
        trial = self._draw(draw, self._spot(0.1, 0.3), 15)
        mask = self._mask(trial)
        left = [(p.visible & ~mask).sum() for p in self.placed]
        kept = zip(left, self.placed, strict=True)
        if any(count < LEAST_VISIBLE * p.drawn.sum() for count, p in kept):
            return
        if not all(_told(p.tell, p.tell.mask & ~mask) for p in self.placed):
            return
        for placed in self.placed:
            placed.visible &= ~mask
            placed.tell = Part(placed.tell.mask & ~mask, placed.tell.area)
        self._blend(trial)
        self.clutter.append(trial.attributes["shows"])

    def _add_clutter(self) -> None:
        draw = things.THINGS[int(self.rng.integers(len(things.THINGS)))]
        self.clutter.append(self._paint(draw, self._spot(0.15, 0.45), turn=10))

    def _paint(self, draw: Callable[..., str], spot: _Spot, turn: float) -> str:
        trial = self._draw(draw, spot, turn)
        self._blend(trial)
        return str(trial.attributes["shows"])

    def _spot(self, low: float, high: float, edge: str | None = None) -> _Spot:
        height, width = self.size
        side = float(self.rng.uniform(low, high)) * float(np.sqrt(height * width))
        x, y = self.rng.uniform(0.0, 1.0, 2)
        if edge == "centre":
            x, y = self.rng.uniform(0.4, 0.6, 2)
        inset = side * float(self.rng.uniform(0.30, 0.48))
        place = {
            "left": (inset, y * height), "right": (width - inset, y * height),
            "top": (x * width, inset), "bottom": (x * width, height - inset),
        }  # fmt: skip
        centre = place.get(edge or "", (x * width, y * height))
        return _Spot((float(centre[0]), float(centre[1])), side)

    def _draw(
        self, draw: Callable[..., str], spot: _Spot, turn: float, tell: Box = (0, 0, 1, 1)
    ) -> _Drawing:
        ink = _ink(self.rng)
        angle, mirror = float(self.rng.uniform(-turn, turn)), bool(self.rng.random() < 0.5)
        if draw.__name__.endswith("_sign"):
            mirror = False  # letters are read from the left
        height, width = self.size
        pen = Pen(
            width, height, centre=spot.centre, side=spot.side, angle=angle, mirror=mirror, ink=ink
        )
        shows = draw(pen, self.rng)
        drawn = pen.result()
        attributes = MappingProxyType(
            {
                "shows": shows,
                "angle": round(angle, 1),
                "fill": list(ink.fill),
                "outline": ink.outline,
            }
        )
        return _Drawing(drawn, _shade(drawn.colours, self.rng), pen.part(*tell), attributes)

    def _blend(self, drawing: _Drawing) -> None:
        part = self.canvas[drawing.drawn.window]
        part += drawing.drawn.alpha[..., None] * (drawing.colours - part)

    def _mask(self, drawing: _Drawing) -> Mask:
        mask = np.zeros(self.size, bool)
        mask[drawing.drawn.window] = drawing.drawn.alpha > 0.5
        return mask

    def unsafe_area(self) -> float:
        """Visible unsafe share of the image."""
        masks = [placed.visible for placed in self.placed if placed.kind.unsafe]
        return float(np.logical_or.reduce(masks).mean()) if masks else 0.0

    def objects(self) -> list[SceneObject]:
        """What was placed, with what is visible of it."""
        return [
            SceneObject(
                p.kind.name,
                p.kind.category,
                p.kind.unsafe,
                p.visible,
                float(p.visible.sum() / p.drawn.sum()),
                p.attributes,
            )
            for p in self.placed
        ]

    def finish(self) -> Image:
        """Light and noise over all, alike for every scene."""
        light = np.float32(self.rng.uniform(0.85, 1.12))
        grain = self.rng.normal(0, self.rng.uniform(0, 6), self.canvas.shape[:2])
        pixels = self.canvas * light
        pixels += grain[..., None].astype(np.float32)
        np.clip(np.rint(pixels, out=pixels), 0, 255, out=pixels)
        return pixels.astype(np.uint8)


@dataclass(frozen=True)
class _Spot:
    centre: tuple[float, float]
    side: float


@dataclass(frozen=True, eq=False)
class _Drawing:
    drawn: Drawn
    colours: np.ndarray
    tell: Part
    attributes: Mapping[str, Any]


def _told(tell: Part, visible: Mask) -> bool:
    """Whether enough of the telling part is in sight."""
    return bool(visible.sum() >= LEAST_TOLD * tell.area)


def _ink(rng: np.random.Generator) -> Ink:
    """Three colours apart enough to be told from each other."""
    while True:
        fill, accent = both = rng.uniform(30, 245, (2, 3))
        darker, brighter = sorted(both.mean(axis=1))
        light, dim = darker > 110, brighter < 150
        if np.abs(accent - fill).sum() >= 170 and (light or dim):
            break
    line = rng.uniform(0, 45, 3) if light else rng.uniform(225, 255, 3)
    outline = float(rng.choice([0.0, 1.5, 2.5, 3.5]))
    return Ink(_rgb(fill), _rgb(accent), _rgb(line), outline)


def _rgb(colour: np.ndarray) -> Colour:
    r, g, b = (int(c) for c in colour)
    return r, g, b


def _shade(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light falls from one side, on half of the things."""
    if rng.random() < 0.5:
        return colours
    height, width = colours.shape[:2]
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    light = 1 + 0.22 * (x * np.cos(turn) + y * np.sin(turn))
    shaded: np.ndarray = colours * light[..., None].astype(np.float32)
    return shaded


def _touches(mask: Mask, edge: str) -> bool:
    sides = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    return bool(sides[edge].any())
