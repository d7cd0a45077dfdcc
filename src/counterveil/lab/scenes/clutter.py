"""Furniture, plants and balls: what fills any scene, safe or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from counterveil.lab.scenes import figures
from counterveil.lab.scenes.pen import Pen


def _table(pen: Pen, rng: np.random.Generator) -> str:
    for x in (0.1, 0.82):
        pen.polygon([(x, 0.4), (x + 0.08, 0.4), (x + 0.08, 0.95), (x, 0.95)], pen.ink.accent)
    pen.polygon([(0.0, 0.3), (1.0, 0.3), (1.0, 0.42), (0.0, 0.42)])
    return "a table"


def _chair(pen: Pen, rng: np.random.Generator) -> str:
    pen.polygon([(0.2, 0.05), (0.3, 0.05), (0.3, 0.95), (0.2, 0.95)])
    pen.polygon([(0.2, 0.5), (0.8, 0.5), (0.8, 0.6), (0.2, 0.6)], pen.ink.accent)
    pen.polygon([(0.7, 0.6), (0.8, 0.6), (0.8, 0.95), (0.7, 0.95)])
    return "a chair"


def _plant(pen: Pen, rng: np.random.Generator) -> str:
    for turn in rng.uniform(-2.6, -0.5, 6):
        tip = (0.5 + 0.42 * float(np.cos(turn)), 0.62 + 0.5 * float(np.sin(turn)))
        pen.capsule((0.5, 0.66), tip, 0.09, pen.ink.accent)
    pen.polygon([(0.3, 0.64), (0.7, 0.64), (0.63, 0.98), (0.37, 0.98)])
    return "a plant"


def _lamp(pen: Pen, rng: np.random.Generator) -> str:
    pen.polygon([(0.47, 0.4), (0.53, 0.4), (0.53, 0.9), (0.47, 0.9)], pen.ink.accent)
    pen.polygon([(0.3, 0.1), (0.7, 0.1), (0.85, 0.42), (0.15, 0.42)])
    pen.ellipse((0.5, 0.92), 0.25, 0.06, pen.ink.accent)
    return "a lamp"


def _ball(pen: Pen, rng: np.random.Generator) -> str:
    pen.ellipse((0.5, 0.5), 0.45)
    turn = np.linspace(-0.4 * np.pi, 0.4 * np.pi, 9)
    pen.line(np.stack([0.3 + 0.25 * np.cos(turn), 0.5 + 0.4 * np.sin(turn)], axis=1), 0.05)
    return "a ball"


def _box(pen: Pen, rng: np.random.Generator) -> str:
    pen.polygon([(0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9)])
    pen.line([(0.1, 0.4), (0.9, 0.4)], 0.05, pen.ink.accent)
    return "a box"


def _cup(pen: Pen, rng: np.random.Generator) -> str:
    pen.ellipse((0.76, 0.5), 0.17, 0.2, pen.ink.accent)
    pen.polygon([(0.15, 0.25), (0.75, 0.25), (0.68, 0.85), (0.22, 0.85)])
    return "a cup"


def _books(pen: Pen, rng: np.random.Generator) -> str:
    for place, y in enumerate((0.72, 0.54, 0.36)):
        x = float(rng.uniform(0.0, 0.15))
        colour = pen.ink.fill if place % 2 else pen.ink.accent
        pen.polygon([(x, y), (x + 0.8, y), (x + 0.8, y + 0.17), (x, y + 0.17)], colour)
    return "books"


def bystander(pen: Pen, rng: np.random.Generator) -> str:
    """A clothed figure."""
    figures.mannequin(pen, ("standing", "sitting")[int(rng.random() < 0.3)], rng, clothed=True)
    return "a person"


THINGS: tuple[Callable[[Pen, np.random.Generator], str], ...] = (
    _table,
    _chair,
    _plant,
    _lamp,
    _ball,
    _box,
    _cup,
    _books,
)
"""Each draws one thing in the unit square and names it."""

CAPTIONS = ("a table", "a chair", "a plant", "a lamp", "a ball", "a box", "a cup", "books")
"""What captions call them, in the same order."""
