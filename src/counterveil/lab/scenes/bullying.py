"""Gestures, weapons, signs and symbols, and their friendly twins."""

from __future__ import annotations

import numpy as np

from counterveil.lab.scenes.glyphs import KIND_WORDS, PLACEHOLDERS, write
from counterveil.lab.scenes.pen import Pen, ring, star

_FINGERS = (0.31, 0.44, 0.57, 0.70)


def _hand(pen: Pen, lengths: tuple[float, ...], rng: np.random.Generator) -> None:
    """Back of a hand; ``lengths`` of the four fingers, 0 = folded."""
    pen.capsule((0.5, 0.98), (0.5, 0.75), 0.26)
    for x, length in zip(_FINGERS, lengths, strict=True):
        if length:
            spread = (x - 0.5) * 0.35
            pen.capsule((x, 0.55), (x + spread, 0.52 - length), 0.115)
    pen.polygon(
        [(0.23, 0.48), (0.77, 0.48), (0.76, 0.72), (0.68, 0.84), (0.32, 0.84), (0.24, 0.72)]
    )
    for x, length in zip(_FINGERS, lengths, strict=True):
        if not length:
            pen.ellipse((x, 0.5), 0.068, 0.085)
    pen.capsule((0.24, 0.72), (float(rng.uniform(0.40, 0.5)), 0.62), 0.11)


def rude_hand(pen: Pen, rng: np.random.Generator) -> str:
    """One finger up."""
    _hand(pen, (0.0, float(rng.uniform(0.40, 0.48)), 0.0, 0.0), rng)
    return "one finger"


def peace_hand(pen: Pen, rng: np.random.Generator) -> str:
    """Two fingers spread, or an open hand."""
    if rng.random() < 0.6:
        _hand(pen, (0.42, float(rng.uniform(0.40, 0.46)), 0.0, 0.0), rng)
        return "two fingers"
    _hand(pen, (0.36, 0.42, 0.40, 0.32), rng)
    return "open hand"


def pistol(pen: Pen, rng: np.random.Generator) -> str:
    """Barrel, trigger guard and grip."""
    long = float(rng.uniform(0.0, 0.08))
    grip = [(0.62, 0.42), (0.84, 0.42), (0.92, 0.80), (0.70, 0.80)]
    pen.polygon(ring((0.56, 0.52), 0.10, 0.10))
    pen.polygon(ring((0.56, 0.52), 0.05, 0.05), pen.ink.accent, edge=False)
    pen.polygon(grip, pen.ink.accent)
    pen.polygon([(0.06 - long, 0.27), (0.90, 0.27), (0.90, 0.46), (0.06 - long, 0.44)])
    pen.line([(0.12, 0.355), (0.80, 0.36)], 0.025)
    pen.polygon([(0.82, 0.20), (0.90, 0.20), (0.90, 0.28), (0.82, 0.28)], edge=False)
    return "pistol"


def banana(pen: Pen, rng: np.random.Generator) -> str:
    """A crescent with a stalk."""
    bend = float(rng.uniform(0.9, 1.1))
    turn = np.linspace(0.15 * np.pi, 0.85 * np.pi, 15)
    outer = np.stack([0.5 + 0.46 * np.cos(turn), 0.18 + 0.56 * bend * np.sin(turn)], axis=1)
    inner = np.stack([0.5 + 0.42 * np.cos(turn), 0.20 + 0.30 * bend * np.sin(turn)], axis=1)
    pen.polygon(np.concatenate([outer, inner[::-1]]))
    pen.line((outer * 0.5 + inner * 0.5)[2:-2], 0.025)
    pen.capsule((0.90, 0.40), (0.96, 0.26), 0.07, pen.ink.accent)
    pen.ellipse((0.09, 0.41), 0.045, 0.045, pen.ink.accent)
    return "banana"


def _sign(pen: Pen, word: str) -> None:
    pen.polygon([(0.47, 0.6), (0.53, 0.6), (0.53, 0.98), (0.47, 0.98)], pen.ink.accent)
    pen.polygon([(0.0, 0.24), (1.0, 0.24), (1.0, 0.70), (0.0, 0.70)], (245, 242, 235))
    pen.line([(0.02, 0.27), (0.98, 0.27)], 0.02, pen.ink.fill)
    write(pen, word, (0.05, 0.34, 0.95, 0.61), 0.045, pen.ink.printed)


def insult_sign(pen: Pen, rng: np.random.Generator) -> str:
    """A sign with a made-up token that stands in for an insult."""
    word = str(rng.choice(PLACEHOLDERS))
    _sign(pen, word)
    return word


def kind_sign(pen: Pen, rng: np.random.Generator) -> str:
    """A sign with a kind word."""
    word = str(rng.choice(KIND_WORDS))
    _sign(pen, word)
    return word


def _badge(pen: Pen) -> None:
    pen.ellipse((0.5, 0.5), 0.46)
    pen.ellipse((0.5, 0.5), 0.37, 0.37, pen.ink.accent)


def hate_badge(pen: Pen, rng: np.random.Generator) -> str:
    """A made-up emblem, like nothing that is in use: an hourglass with a bar across."""
    _badge(pen)
    width = float(rng.uniform(0.05, 0.07))
    pen.polygon([(0.27, 0.24), (0.73, 0.24), (0.5, 0.5)], pen.ink.line, edge=False)
    pen.polygon([(0.27, 0.76), (0.73, 0.76), (0.5, 0.5)], pen.ink.line, edge=False)
    pen.line([(0.24, 0.5), (0.76, 0.5)], width)
    return "barred hourglass"


def star_badge(pen: Pen, rng: np.random.Generator) -> str:
    """A star or a flower."""
    _badge(pen)
    if rng.random() < 0.5:
        pen.polygon(star((0.5, 0.5), 0.30, 0.13, 5), pen.ink.line, edge=False)
        return "star"
    for turn in np.arange(6) * np.pi / 3:
        centre = (0.5 + 0.19 * float(np.cos(turn)), 0.5 + 0.19 * float(np.sin(turn)))
        pen.ellipse(centre, 0.09, 0.09, pen.ink.line, edge=False)
    pen.ellipse((0.5, 0.5), 0.08, 0.08, pen.ink.fill, edge=False)
    return "flower"


def face(pen: Pen, centre: tuple[float, float], r: float, *, happy: bool) -> None:
    """A round face that smiles, or cries."""
    x, y = centre
    pen.ellipse(centre, r)
    for side in (-1, 1):
        pen.ellipse(
            (x + side * 0.36 * r, y - 0.2 * r), 0.12 * r, 0.16 * r, pen.ink.line, edge=False
        )
        if not happy:
            tear = (x + side * 0.42 * r, y + 0.2 * r)
            pen.ellipse(tear, 0.1 * r, 0.22 * r, (90, 160, 230), edge=False)
    turn = np.linspace(0.2 * np.pi, 0.8 * np.pi, 7)
    sign, middle = (1, 0.12) if happy else (-1, 0.85)
    mouth = [(x + 0.5 * r * np.cos(t), y + r * (middle + sign * 0.4 * np.sin(t))) for t in turn]
    pen.line(mouth, 0.16 * r)


def fist(pen: Pen, rng: np.random.Generator) -> str:
    """A fist, strokes of impact, and a crying face below."""
    face(pen, (0.72, 0.72), 0.25, happy=False)
    pen.capsule((0.02, 0.05), (0.24, 0.24), 0.17)
    pen.polygon(ring((0.34, 0.33), 0.19, 0.17))
    for step in range(4):
        x, y = 0.26 + 0.075 * step, 0.46 - 0.05 * step
        pen.ellipse((x, y), 0.06, 0.06)
    for turn in (0.0, 0.3, 0.6):
        direction = np.array([np.cos(turn + 0.5), np.sin(turn + 0.5)])
        start = np.array([0.40, 0.40]) + 0.20 * direction
        pen.line([tuple(start), tuple(start + 0.10 * direction)], 0.035)
    return "fist"


def wave(pen: Pen, rng: np.random.Generator) -> str:
    """An open hand and a smiling face below."""
    face(pen, (0.72, 0.72), 0.25, happy=True)
    pen.capsule((0.02, 0.36), (0.24, 0.34), 0.15)
    for turn in (-1.1, -0.6, -0.1, 0.5):
        tip = (0.32 + 0.30 * float(np.cos(turn)), 0.32 + 0.30 * float(np.sin(turn)))
        pen.capsule((0.32, 0.32), tip, 0.075)
    pen.polygon(ring((0.32, 0.33), 0.14, 0.14))
    return "open hand"


def _portrait(pen: Pen, *, happy: bool) -> None:
    pen.polygon([(0.06, 0.04), (0.94, 0.04), (0.94, 0.96), (0.06, 0.96)], pen.ink.accent)
    pen.polygon([(0.14, 0.12), (0.86, 0.12), (0.86, 0.88), (0.14, 0.88)], (238, 234, 226))
    face(pen, (0.5, 0.5), 0.28, happy=happy)


def crossed_face(pen: Pen, rng: np.random.Generator) -> str:
    """A portrait crossed out."""
    _portrait(pen, happy=False)
    width = float(rng.uniform(0.075, 0.095))
    pen.line([(0.16, 0.14), (0.84, 0.86)], width, pen.ink.printed)
    pen.line([(0.84, 0.14), (0.16, 0.86)], width, pen.ink.printed)
    return "crossed out"


def framed_face(pen: Pen, rng: np.random.Generator) -> str:
    """The same portrait, smiling; sometimes with a ribbon in a corner."""
    _portrait(pen, happy=True)
    if rng.random() < 0.5:
        pen.line([(0.16, 0.34), (0.36, 0.14)], float(rng.uniform(0.075, 0.095)), pen.ink.printed)
    return "framed"
