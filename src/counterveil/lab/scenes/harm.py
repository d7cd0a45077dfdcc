"""Blades, pills and marks beside a forearm, and their harmless twins."""

from __future__ import annotations

import numpy as np

from counterveil.lab.scenes.bullying import face
from counterveil.lab.scenes.pen import Pen, ring


def blade(pen: Pen, rng: np.random.Generator) -> str:
    """A handle and a pointed blade."""
    length = float(rng.uniform(0.0, 0.05))
    pen.polygon([(0.36, 0.38), (0.90, 0.36), (1.02 + length, 0.60), (0.36, 0.60)])
    pen.line([(0.42, 0.44), (0.84, 0.43)], 0.02)
    pen.polygon([(0.33, 0.32), (0.39, 0.32), (0.39, 0.66), (0.33, 0.66)], pen.ink.line)
    pen.capsule((0.04, 0.49), (0.30, 0.49), 0.16, pen.ink.accent)
    return "blade"


def comb(pen: Pen, rng: np.random.Generator) -> str:
    """A handle and teeth."""
    teeth = int(rng.integers(6, 9))
    pen.polygon([(0.36, 0.36), (1.0, 0.36), (1.0, 0.46), (0.36, 0.46)])
    for x in np.linspace(0.39, 0.97, teeth):
        pen.line([(float(x), 0.44), (float(x), 0.62)], 0.035, pen.ink.fill)
    pen.capsule((0.04, 0.42), (0.34, 0.42), 0.16, pen.ink.accent)
    return "comb"


def pills(pen: Pen, rng: np.random.Generator) -> str:
    """A tipped bottle and two-coloured capsules."""
    pen.polygon([(0.04, 0.10), (0.46, 0.10), (0.46, 0.44), (0.04, 0.44)])
    pen.polygon([(0.10, 0.18), (0.36, 0.18), (0.36, 0.36), (0.10, 0.36)], (240, 238, 232))
    pen.polygon([(0.46, 0.14), (0.55, 0.14), (0.55, 0.40), (0.46, 0.40)], pen.ink.accent)
    for x, y in _scatter(rng):
        turn = float(rng.uniform(0, np.pi))
        dx, dy = 0.085 * float(np.cos(turn)), 0.085 * float(np.sin(turn))
        pen.capsule((x - dx, y - dy), (x + dx, y + dy), 0.105, pen.ink.accent)
        pen.capsule((x, y), (x + dx, y + dy), 0.105, (240, 238, 232))
    return "pills"


def sweets(pen: Pen, rng: np.random.Generator) -> str:
    """A jar and wrapped sweets."""
    pen.polygon([(0.04, 0.10), (0.46, 0.10), (0.46, 0.44), (0.04, 0.44)])
    pen.ellipse((0.25, 0.27), 0.11, 0.11, (240, 238, 232))
    pen.polygon([(0.46, 0.14), (0.55, 0.14), (0.55, 0.40), (0.46, 0.40)], pen.ink.accent)
    for x, y in _scatter(rng):
        turn = float(rng.uniform(0, np.pi))
        along = np.array([np.cos(turn), np.sin(turn)])
        across = np.array([-along[1], along[0]])
        for sign in (-1, 1):
            tip = np.array([x, y]) + sign * 0.13 * along
            wing = [(x, y), tuple(tip + 0.07 * across), tuple(tip - 0.07 * across)]
            pen.polygon(wing, (240, 238, 232))
        pen.ellipse((x, y), 0.068, 0.068, pen.ink.accent)
    return "sweets"


def _scatter(rng: np.random.Generator) -> list[tuple[float, float]]:
    places = [(0.22, 0.62), (0.46, 0.66), (0.70, 0.58), (0.34, 0.86), (0.60, 0.86), (0.84, 0.80)]
    count = int(rng.integers(4, len(places) + 1))
    jitter = rng.uniform(-0.025, 0.025, (count, 2))
    return [
        (x + float(dx), y + float(dy)) for (x, y), (dx, dy) in zip(places, jitter, strict=False)
    ]


def _forearm(pen: Pen, y: float = 0.5) -> None:
    pen.polygon([(0.0, y - 0.17), (0.70, y - 0.11), (0.70, y + 0.11), (0.0, y + 0.17)])
    for dy in (-0.075, 0.0, 0.075):
        pen.capsule((0.80, y + dy), (0.97, y + 1.2 * dy), 0.065)
    pen.capsule((0.74, y - 0.08), (0.84, y - 0.2), 0.07)
    pen.ellipse((0.76, y), 0.12, 0.125)


def marks(pen: Pen, rng: np.random.Generator) -> str:
    """Parallel strokes across a forearm."""
    _forearm(pen)
    count = int(rng.integers(4, 6))
    for x in np.linspace(0.14, 0.58, count) + rng.uniform(-0.015, 0.015, count):
        lean = float(rng.uniform(-0.03, 0.03))
        pen.line([(float(x) - lean, 0.39), (float(x) + lean, 0.61)], 0.038)
    return "marks"


def bracelet(pen: Pen, rng: np.random.Generator) -> str:
    """One band around a forearm, a watch or a bracelet of beads."""
    _forearm(pen)
    x = float(rng.uniform(0.46, 0.56))
    pen.polygon(
        [(x - 0.06, 0.36), (x + 0.06, 0.37), (x + 0.06, 0.63), (x - 0.06, 0.64)], pen.ink.accent
    )
    if rng.random() < 0.5:
        pen.ellipse((x, 0.5), 0.09, 0.09, pen.ink.line)
        return "watch"
    for y in (0.42, 0.5, 0.58):
        pen.ellipse((x, y), 0.038, 0.038, pen.ink.line, edge=False)
    return "bracelet"


def _neck(pen: Pen) -> None:
    pen.polygon([(0.42, 0.02), (0.58, 0.02), (0.58, 0.26), (0.42, 0.26)])
    pen.polygon([(0.39, 0.0), (0.61, 0.0), (0.61, 0.07), (0.39, 0.07)], pen.ink.accent)


def shard(pen: Pen, rng: np.random.Generator) -> str:
    """A bottle's neck with a jagged end, and a splinter."""
    _neck(pen)
    low = rng.uniform(0.0, 0.06, 3)
    jagged = [
        (0.42, 0.22), (0.58, 0.22), (0.74, 0.40), (0.74, 0.84 + float(low[0])), (0.64, 0.60),
        (0.56, 0.90 + float(low[1])), (0.47, 0.58), (0.38, 0.82 + float(low[2])), (0.32, 0.60),
        (0.26, 0.76), (0.26, 0.40),
    ]  # fmt: skip
    pen.polygon(jagged)
    pen.polygon([(0.02, 0.90), (0.20, 0.58), (0.26, 0.96)], pen.ink.accent)
    return "broken bottle"


def bottle(pen: Pen, rng: np.random.Generator) -> str:
    """A whole bottle with a label."""
    _neck(pen)
    low = 0.92 + float(rng.uniform(0.0, 0.06))
    pen.polygon([(0.42, 0.22), (0.58, 0.22), (0.74, 0.40), (0.74, low), (0.26, low), (0.26, 0.40)])
    pen.polygon([(0.28, 0.54), (0.72, 0.54), (0.72, 0.76), (0.28, 0.76)], pen.ink.accent)
    return "bottle"


def flame(pen: Pen, rng: np.random.Generator) -> str:
    """A forearm over a lighter with a flame."""
    _forearm(pen, 0.24)
    x = float(rng.uniform(0.28, 0.44))
    pen.polygon(
        [(x - 0.09, 0.72), (x + 0.09, 0.72), (x + 0.09, 1.0), (x - 0.09, 1.0)], pen.ink.accent
    )
    drop = [
        (x, 0.40),
        (x + 0.11, 0.58),
        (x + 0.08, 0.70),
        (x, 0.74),
        (x - 0.08, 0.70),
        (x - 0.11, 0.58),
    ]
    pen.polygon(drop, (240, 140, 30), edge=False)
    pen.polygon(ring((x, 0.64), 0.045, 0.075), (255, 225, 110), edge=False)
    return "flame"


def phone(pen: Pen, rng: np.random.Generator) -> str:
    """A forearm over a phone or a flower of the flame's colours."""
    _forearm(pen, 0.24)
    x = float(rng.uniform(0.28, 0.44))
    if rng.random() < 0.5:
        body = [(x - 0.13, 0.48), (x + 0.13, 0.48), (x + 0.13, 1.0), (x - 0.13, 1.0)]
        pen.polygon(body, pen.ink.accent)
        screen = [(x - 0.09, 0.54), (x + 0.09, 0.54), (x + 0.09, 0.9), (x - 0.09, 0.9)]
        pen.polygon(screen, (255, 225, 110), edge=False)
        return "phone"
    pen.line([(x, 0.62), (x, 0.98)], 0.05, pen.ink.accent)
    for turn in np.arange(5) * 2 * np.pi / 5:
        centre = (x + 0.085 * float(np.cos(turn)), 0.58 + 0.085 * float(np.sin(turn)))
        pen.ellipse(centre, 0.06, 0.06, (240, 140, 30), edge=False)
    pen.ellipse((x, 0.58), 0.05, 0.05, (255, 225, 110), edge=False)
    return "flower"


def skull(pen: Pen, rng: np.random.Generator) -> str:
    """A badge with a skull."""
    pen.ellipse((0.5, 0.5), 0.47, 0.47, pen.ink.accent)
    pen.polygon([(0.36, 0.60), (0.64, 0.60), (0.62, 0.84), (0.38, 0.84)], (240, 238, 232))
    pen.ellipse((0.5, 0.44), 0.27, 0.25, (240, 238, 232))
    for side in (-1, 1):
        pen.ellipse((0.5 + side * 0.115, 0.45), 0.078, 0.09, pen.ink.printed, edge=False)
    pen.polygon([(0.5, 0.54), (0.55, 0.63), (0.45, 0.63)], pen.ink.printed, edge=False)
    for x in (0.45, 0.5, 0.55):
        pen.line([(x, 0.70), (x, 0.83)], 0.022, pen.ink.printed)
    return "skull"


def smiley(pen: Pen, rng: np.random.Generator) -> str:
    """A badge with a smiling face."""
    pen.ellipse((0.5, 0.5), 0.47, 0.47, pen.ink.accent)
    ink, pen.ink = (
        pen.ink,
        type(pen.ink)((240, 238, 232), pen.ink.accent, pen.ink.printed, pen.ink.outline),
    )
    face(pen, (0.5, 0.5), 0.31, happy=True)
    pen.ink = ink
    return "smiley"
