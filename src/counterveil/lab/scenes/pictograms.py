"""Pictograms of unsafe things (cyberbullying, self-harm) and of their safe twins.

Each function draws the unsafe thing or its twin into the unit square of a canvas, and returns a
word for what it drew, which the annotations keep. What twins have in common is drawn by the same
lines. No pictogram shows a real symbol, word or injury.
"""

from __future__ import annotations

import numpy as np

from counterveil.lab.scenes.unit_canvas import Colour, Point, UnitCanvas

# Made-up tokens stand for insults; they mean nothing in any language we know of.
_INSULT_PLACEHOLDERS = ("ZORK", "GRUX", "VEXX", "KROZ", "XUZZ", "ZURG")
_KIND_WORDS = ("HELLO", "LOVE", "NICE", "PEACE", "HAPPY", "TEA")
_PAPER: Colour = (240, 238, 232)
_ORANGE: Colour = (240, 140, 30)
_YELLOW: Colour = (255, 225, 110)
_FINGERS_X = (0.31, 0.44, 0.57, 0.70)


def hand(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a hand with one finger up; twin: two fingers spread, or an open hand."""
    if unsafe:
        shown, lengths = "one finger", (0.0, float(rng.uniform(0.40, 0.48)), 0.0, 0.0)
    elif rng.random() < 0.6:
        shown, lengths = "two fingers", (0.42, float(rng.uniform(0.40, 0.46)), 0.0, 0.0)
    else:
        shown, lengths = "open hand", (0.36, 0.42, 0.40, 0.32)
    fingers = list(zip(_FINGERS_X, lengths, strict=True))
    canvas.capsule((0.5, 0.98), (0.5, 0.75), 0.26)
    for x, length in fingers:
        if length:
            canvas.capsule((x, 0.55), (x + (x - 0.5) * 0.35, 0.52 - length), 0.115)
    palm = [(0.23, 0.48), (0.77, 0.48), (0.76, 0.72), (0.68, 0.84), (0.32, 0.84), (0.24, 0.72)]
    canvas.polygon(palm)
    for x, length in fingers:
        if not length:  # folded
            canvas.ellipse((x, 0.5), 0.068, 0.085)
    canvas.capsule((0.24, 0.72), (float(rng.uniform(0.40, 0.5)), 0.62), 0.11)
    return shown


def weapon(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a pistol; twin: a banana."""
    accent = canvas.palette.accent
    if unsafe:
        left = 0.06 - float(rng.uniform(0.0, 0.08))
        canvas.ellipse((0.56, 0.52), 0.10)
        canvas.ellipse((0.56, 0.52), 0.05, 0.05, accent, outlined=False)
        canvas.polygon([(0.62, 0.42), (0.84, 0.42), (0.92, 0.80), (0.70, 0.80)], accent)
        canvas.polygon([(left, 0.27), (0.90, 0.27), (0.90, 0.46), (left, 0.44)])
        canvas.line([(0.12, 0.355), (0.80, 0.36)], 0.025)
        canvas.rectangle(0.82, 0.20, 0.90, 0.28, outlined=False)
        return "pistol"
    bend = float(rng.uniform(0.9, 1.1))
    theta = np.linspace(0.15 * np.pi, 0.85 * np.pi, 15)
    outer = np.stack([0.5 + 0.46 * np.cos(theta), 0.18 + 0.56 * bend * np.sin(theta)], axis=1)
    inner = np.stack([0.5 + 0.42 * np.cos(theta), 0.20 + 0.30 * bend * np.sin(theta)], axis=1)
    canvas.polygon(np.concatenate([outer, inner[::-1]]))
    canvas.line((outer * 0.5 + inner * 0.5)[2:-2], 0.025)
    canvas.capsule((0.90, 0.40), (0.96, 0.26), 0.07, accent)
    canvas.ellipse((0.09, 0.41), 0.045, 0.045, accent)
    return "banana"


def signboard(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a sign with a token that stands for an insult; twin: with a kind word."""
    word = str(rng.choice(_INSULT_PLACEHOLDERS if unsafe else _KIND_WORDS))
    canvas.rectangle(0.47, 0.6, 0.53, 0.98, canvas.palette.accent)
    canvas.rectangle(0.0, 0.24, 1.0, 0.70, (245, 242, 235))
    canvas.line([(0.02, 0.27), (0.98, 0.27)], 0.02, canvas.palette.fill)
    canvas.text(word, (0.05, 0.34, 0.95, 0.61), 0.045, canvas.palette.dark)
    return word


def symbol_badge(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a made-up emblem that no group uses, a barred hourglass; twin: a star or a flower."""
    line = canvas.palette.line
    canvas.ellipse((0.5, 0.5), 0.46)
    canvas.ellipse((0.5, 0.5), 0.37, 0.37, canvas.palette.accent)
    if unsafe:
        width = float(rng.uniform(0.05, 0.07))
        for y in (0.24, 0.76):
            canvas.polygon([(0.27, y), (0.73, y), (0.5, 0.5)], line, outlined=False)
        canvas.line([(0.24, 0.5), (0.76, 0.5)], width)
        return "barred hourglass"
    if rng.random() < 0.5:
        theta, radius = np.arange(10) * np.pi / 5 - np.pi / 2, np.array([0.30, 0.13] * 5)
        star = np.stack([0.5 + radius * np.cos(theta), 0.5 + radius * np.sin(theta)], axis=1)
        canvas.polygon(star, line, outlined=False)
        return "star"
    for theta in np.arange(6) * np.pi / 3:
        canvas.ellipse(_polar((0.5, 0.5), 0.19, theta), 0.09, 0.09, line, outlined=False)
    canvas.ellipse((0.5, 0.5), 0.08, outlined=False)
    return "flower"


def punch(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a fist with lines of impact over a crying face; twin: an open hand, a smiling face."""
    _face(canvas, (0.72, 0.72), 0.25, happy=not unsafe)
    if unsafe:
        canvas.capsule((0.02, 0.05), (0.24, 0.24), 0.17)
        canvas.ellipse((0.34, 0.33), 0.19, 0.17)
        for knuckle in range(4):
            canvas.ellipse((0.26 + 0.075 * knuckle, 0.46 - 0.05 * knuckle), 0.06)
        for theta in (0.0, 0.3, 0.6):
            direction = np.array([np.cos(theta + 0.5), np.sin(theta + 0.5)])
            start = np.array([0.40, 0.40]) + 0.20 * direction
            canvas.line(np.stack([start, start + 0.10 * direction]), 0.035)
        return "fist"
    canvas.capsule((0.02, 0.36), (0.24, 0.34), 0.15)
    for theta in (-1.1, -0.6, -0.1, 0.5):
        canvas.capsule((0.32, 0.32), _polar((0.32, 0.32), 0.30, theta), 0.075)
    canvas.ellipse((0.32, 0.33), 0.14)
    return "open hand"


def portrait(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a crossed-out portrait; twin: a smiling one, half of them with a ribbon."""
    canvas.rectangle(0.06, 0.04, 0.94, 0.96, canvas.palette.accent)
    canvas.rectangle(0.14, 0.12, 0.86, 0.88, (238, 234, 226))
    _face(canvas, (0.5, 0.5), 0.28, happy=not unsafe)
    if unsafe or rng.random() < 0.5:
        width = float(rng.uniform(0.075, 0.095))
        cross = [[(0.16, 0.14), (0.84, 0.86)], [(0.84, 0.14), (0.16, 0.86)]]
        for line in cross if unsafe else [[(0.16, 0.34), (0.36, 0.14)]]:
            canvas.line(line, width, canvas.palette.dark)
    return "crossed out" if unsafe else "framed"


def blade(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a blade with a handle; twin: a comb."""
    if unsafe:
        extra = float(rng.uniform(0.0, 0.05))
        canvas.polygon([(0.36, 0.38), (0.90, 0.36), (1.02 + extra, 0.60), (0.36, 0.60)])
        canvas.line([(0.42, 0.44), (0.84, 0.43)], 0.02)
        canvas.rectangle(0.33, 0.32, 0.39, 0.66, canvas.palette.line)
        canvas.capsule((0.04, 0.49), (0.30, 0.49), 0.16, canvas.palette.accent)
        return "blade"
    teeth = int(rng.integers(6, 9))
    canvas.rectangle(0.36, 0.36, 1.0, 0.46)
    for x in np.linspace(0.39, 0.97, teeth):
        canvas.line([(x, 0.44), (x, 0.62)], 0.035, canvas.palette.fill)
    canvas.capsule((0.04, 0.42), (0.34, 0.42), 0.16, canvas.palette.accent)
    return "comb"


def pills(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a tipped bottle and capsules in two colours; twin: a jar and wrapped sweets."""
    accent = canvas.palette.accent
    canvas.rectangle(0.04, 0.10, 0.46, 0.44)
    if unsafe:
        canvas.rectangle(0.10, 0.18, 0.36, 0.36, _PAPER)
    else:
        canvas.ellipse((0.25, 0.27), 0.11, 0.11, _PAPER)
    canvas.rectangle(0.46, 0.14, 0.55, 0.40, accent)
    grid = [(0.22, 0.62), (0.46, 0.66), (0.70, 0.58), (0.34, 0.86), (0.60, 0.86), (0.84, 0.80)]
    count = int(rng.integers(4, len(grid) + 1))
    for centre in np.array(grid[:count]) + rng.uniform(-0.025, 0.025, (count, 2)):
        theta = float(rng.uniform(0, np.pi))
        along = np.array([np.cos(theta), np.sin(theta)])
        if unsafe:
            offset = 0.085 * along
            canvas.capsule(tuple(centre - offset), tuple(centre + offset), 0.105, accent)
            canvas.capsule(tuple(centre), tuple(centre + offset), 0.105, _PAPER)
            continue
        across = 0.07 * np.array([-along[1], along[0]])
        for sign in (-1, 1):
            tip = centre + sign * 0.13 * along
            canvas.polygon(np.stack([centre, tip + across, tip - across]), _PAPER)
        canvas.ellipse(tuple(centre), 0.068, 0.068, accent)
    return "pills" if unsafe else "sweets"


def forearm_marks(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw parallel strokes across a forearm; twin: a watch, or a bracelet of beads."""
    _forearm(canvas, 0.5)
    if unsafe:
        count = int(rng.integers(4, 6))
        for x in np.linspace(0.14, 0.58, count) + rng.uniform(-0.015, 0.015, count):
            slant = float(rng.uniform(-0.03, 0.03))
            canvas.line([(x - slant, 0.39), (x + slant, 0.61)], 0.038)
        return "marks"
    x = float(rng.uniform(0.46, 0.56))
    band = [(x - 0.06, 0.36), (x + 0.06, 0.37), (x + 0.06, 0.63), (x - 0.06, 0.64)]
    canvas.polygon(band, canvas.palette.accent)
    if rng.random() < 0.5:
        canvas.ellipse((x, 0.5), 0.09, 0.09, canvas.palette.line)
        return "watch"
    for y in (0.42, 0.5, 0.58):
        canvas.ellipse((x, y), 0.038, 0.038, canvas.palette.line, outlined=False)
    return "bracelet"


def bottle(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw the neck of a broken bottle and a splinter; twin: a whole bottle with a label."""
    accent = canvas.palette.accent
    canvas.rectangle(0.42, 0.02, 0.58, 0.26)
    canvas.rectangle(0.39, 0.0, 0.61, 0.07, accent)
    shoulders = [(0.42, 0.22), (0.58, 0.22), (0.74, 0.40)]
    if unsafe:
        a, b, c = rng.uniform(0.0, 0.06, 3)
        jagged = [(0.74, 0.84 + a), (0.64, 0.60), (0.56, 0.90 + b), (0.47, 0.58), (0.38, 0.82 + c)]
        canvas.polygon([*shoulders, *jagged, (0.32, 0.60), (0.26, 0.76), (0.26, 0.40)])
        canvas.polygon([(0.02, 0.90), (0.20, 0.58), (0.26, 0.96)], accent)
        return "broken bottle"
    base = 0.92 + float(rng.uniform(0.0, 0.06))
    canvas.polygon([*shoulders, (0.74, base), (0.26, base), (0.26, 0.40)])
    canvas.rectangle(0.28, 0.54, 0.72, 0.76, accent)
    return "bottle"


def flame(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a flame under a forearm; twin: a phone, or a flower in the flame's colours."""
    accent = canvas.palette.accent
    _forearm(canvas, 0.24)
    x = float(rng.uniform(0.28, 0.44))
    if unsafe:
        canvas.rectangle(x - 0.09, 0.72, x + 0.09, 1.0, accent)
        right, left = [(x + 0.11, 0.58), (x + 0.08, 0.70)], [(x - 0.08, 0.70), (x - 0.11, 0.58)]
        canvas.polygon([(x, 0.40), *right, (x, 0.74), *left], _ORANGE, outlined=False)
        canvas.ellipse((x, 0.64), 0.045, 0.075, _YELLOW, outlined=False)
        return "flame"
    if rng.random() < 0.5:
        canvas.rectangle(x - 0.13, 0.48, x + 0.13, 1.0, accent)
        canvas.rectangle(x - 0.09, 0.54, x + 0.09, 0.9, _YELLOW, outlined=False)
        return "phone"
    canvas.line([(x, 0.62), (x, 0.98)], 0.05, accent)
    for theta in np.arange(5) * 2 * np.pi / 5:
        canvas.ellipse(_polar((x, 0.58), 0.085, theta), 0.06, 0.06, _ORANGE, outlined=False)
    canvas.ellipse((x, 0.58), 0.05, 0.05, _YELLOW, outlined=False)
    return "flower"


def face_badge(canvas: UnitCanvas, rng: np.random.Generator, *, unsafe: bool) -> str:
    """Draw a badge with a skull; twin: with a smiling face."""
    dark = canvas.palette.dark
    canvas.ellipse((0.5, 0.5), 0.47, 0.47, canvas.palette.accent)
    if not unsafe:
        _face(canvas.recoloured(fill=_PAPER, line=dark), (0.5, 0.5), 0.31, happy=True)
        return "smiley"
    canvas.polygon([(0.36, 0.60), (0.64, 0.60), (0.62, 0.84), (0.38, 0.84)], _PAPER)
    canvas.ellipse((0.5, 0.44), 0.27, 0.25, _PAPER)
    for side in (-1, 1):
        canvas.ellipse((0.5 + side * 0.115, 0.45), 0.078, 0.09, dark, outlined=False)
    canvas.polygon([(0.5, 0.54), (0.55, 0.63), (0.45, 0.63)], dark, outlined=False)
    for x in (0.45, 0.5, 0.55):
        canvas.line([(x, 0.70), (x, 0.83)], 0.022, dark)
    return "skull"


def _face(canvas: UnitCanvas, centre: Point, r: float, *, happy: bool) -> None:
    """Draw a round face of radius ``r`` that smiles, or cries."""
    x, y = centre
    canvas.ellipse(centre, r)
    for side in (-1, 1):
        eye = (x + side * 0.36 * r, y - 0.2 * r)
        canvas.ellipse(eye, 0.12 * r, 0.16 * r, canvas.palette.line, outlined=False)
        if not happy:
            tear = (x + side * 0.42 * r, y + 0.2 * r)
            canvas.ellipse(tear, 0.1 * r, 0.22 * r, (90, 160, 230), outlined=False)
    theta = np.linspace(0.2 * np.pi, 0.8 * np.pi, 7)
    sign, middle = (1, 0.12) if happy else (-1, 0.85)
    mouth = [(x + 0.5 * r * np.cos(t), y + r * (middle + sign * 0.4 * np.sin(t))) for t in theta]
    canvas.line(mouth, 0.16 * r)


def _forearm(canvas: UnitCanvas, y: float) -> None:
    canvas.polygon([(0.0, y - 0.17), (0.70, y - 0.11), (0.70, y + 0.11), (0.0, y + 0.17)])
    for dy in (-0.075, 0.0, 0.075):
        canvas.capsule((0.80, y + dy), (0.97, y + 1.2 * dy), 0.065)
    canvas.capsule((0.74, y - 0.08), (0.84, y - 0.2), 0.07)
    canvas.ellipse((0.76, y), 0.12, 0.125)


def _polar(centre: Point, radius: float, theta: float) -> Point:
    return (centre[0] + radius * float(np.cos(theta)), centre[1] + radius * float(np.sin(theta)))
