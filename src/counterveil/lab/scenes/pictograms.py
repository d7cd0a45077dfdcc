"""Pictograms of unsafe things (cyberbullying, self-harm) and of their harmless twins.

Each function draws into the unit square of a canvas and returns a word for what it drew, which
the annotations keep. No pictogram shows a real symbol, word or injury.
"""

from __future__ import annotations

import numpy as np

from counterveil.lab.scenes.mannequins import face, forearm, hand
from counterveil.lab.scenes.unit_canvas import Colour, Point, UnitCanvas, star_vertices

INSULT_PLACEHOLDERS = ("ZORK", "GRUX", "VEXX", "KROZ", "XUZZ", "ZURG")
"""Made-up tokens that stand for insults; they mean nothing in any language we know of."""
KIND_WORDS = ("HELLO", "LOVE", "NICE", "PEACE", "HAPPY", "TEA")

_PAPER: Colour = (240, 238, 232)
_ORANGE: Colour = (240, 140, 30)
_YELLOW: Colour = (255, 225, 110)


def rude_hand(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a hand with one finger up."""
    hand(canvas, (0.0, float(rng.uniform(0.40, 0.48)), 0.0, 0.0), rng)
    return "one finger"


def peace_hand(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a hand with two fingers spread, or an open hand."""
    if rng.random() < 0.6:
        hand(canvas, (0.42, float(rng.uniform(0.40, 0.46)), 0.0, 0.0), rng)
        return "two fingers"
    hand(canvas, (0.36, 0.42, 0.40, 0.32), rng)
    return "open hand"


def pistol(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw barrel, trigger guard and grip."""
    extra = float(rng.uniform(0.0, 0.08))
    canvas.ellipse((0.56, 0.52), 0.10)
    canvas.ellipse((0.56, 0.52), 0.05, 0.05, canvas.palette.accent, outlined=False)
    canvas.polygon([(0.62, 0.42), (0.84, 0.42), (0.92, 0.80), (0.70, 0.80)], canvas.palette.accent)
    canvas.polygon([(0.06 - extra, 0.27), (0.90, 0.27), (0.90, 0.46), (0.06 - extra, 0.44)])
    canvas.line([(0.12, 0.355), (0.80, 0.36)], 0.025)
    canvas.rectangle(0.82, 0.20, 0.90, 0.28, outlined=False)
    return "pistol"


def banana(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a crescent with a stalk."""
    bend = float(rng.uniform(0.9, 1.1))
    theta = np.linspace(0.15 * np.pi, 0.85 * np.pi, 15)
    outer = np.stack([0.5 + 0.46 * np.cos(theta), 0.18 + 0.56 * bend * np.sin(theta)], axis=1)
    inner = np.stack([0.5 + 0.42 * np.cos(theta), 0.20 + 0.30 * bend * np.sin(theta)], axis=1)
    canvas.polygon(np.concatenate([outer, inner[::-1]]))
    canvas.line((outer * 0.5 + inner * 0.5)[2:-2], 0.025)
    canvas.capsule((0.90, 0.40), (0.96, 0.26), 0.07, canvas.palette.accent)
    canvas.ellipse((0.09, 0.41), 0.045, 0.045, canvas.palette.accent)
    return "banana"


def _sign(canvas: UnitCanvas, words: tuple[str, ...], rng: np.random.Generator) -> str:
    word = str(rng.choice(words))
    canvas.rectangle(0.47, 0.6, 0.53, 0.98, canvas.palette.accent)
    canvas.rectangle(0.0, 0.24, 1.0, 0.70, (245, 242, 235))
    canvas.line([(0.02, 0.27), (0.98, 0.27)], 0.02, canvas.palette.fill)
    canvas.text(word, (0.05, 0.34, 0.95, 0.61), 0.045, canvas.palette.dark)
    return word


def insult_sign(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a sign with a made-up token that stands for an insult."""
    return _sign(canvas, INSULT_PLACEHOLDERS, rng)


def kind_sign(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a sign with a kind word."""
    return _sign(canvas, KIND_WORDS, rng)


def _badge(canvas: UnitCanvas) -> None:
    canvas.ellipse((0.5, 0.5), 0.46)
    canvas.ellipse((0.5, 0.5), 0.37, 0.37, canvas.palette.accent)


def hate_badge(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a made-up emblem that no group uses: an hourglass with a bar across."""
    _badge(canvas)
    width = float(rng.uniform(0.05, 0.07))
    for y in (0.24, 0.76):
        canvas.polygon([(0.27, y), (0.73, y), (0.5, 0.5)], canvas.palette.line, outlined=False)
    canvas.line([(0.24, 0.5), (0.76, 0.5)], width)
    return "barred hourglass"


def star_badge(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a badge with a star or a flower."""
    _badge(canvas)
    line = canvas.palette.line
    if rng.random() < 0.5:
        canvas.polygon(star_vertices((0.5, 0.5), 0.30, 0.13, 5), line, outlined=False)
        return "star"
    for theta in np.arange(6) * np.pi / 3:
        centre = (0.5 + 0.19 * float(np.cos(theta)), 0.5 + 0.19 * float(np.sin(theta)))
        canvas.ellipse(centre, 0.09, 0.09, line, outlined=False)
    canvas.ellipse((0.5, 0.5), 0.08, outlined=False)
    return "flower"


def fist(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a fist, strokes of impact, and a crying face below."""
    face(canvas, (0.72, 0.72), 0.25, happy=False)
    canvas.capsule((0.02, 0.05), (0.24, 0.24), 0.17)
    canvas.ellipse((0.34, 0.33), 0.19, 0.17)
    for knuckle in range(4):
        canvas.ellipse((0.26 + 0.075 * knuckle, 0.46 - 0.05 * knuckle), 0.06)
    for theta in (0.0, 0.3, 0.6):
        direction = np.array([np.cos(theta + 0.5), np.sin(theta + 0.5)])
        start = np.array([0.40, 0.40]) + 0.20 * direction
        canvas.line(np.stack([start, start + 0.10 * direction]), 0.035)
    return "fist"


def wave(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw an open hand and a smiling face below."""
    face(canvas, (0.72, 0.72), 0.25, happy=True)
    canvas.capsule((0.02, 0.36), (0.24, 0.34), 0.15)
    for theta in (-1.1, -0.6, -0.1, 0.5):
        tip = (0.32 + 0.30 * float(np.cos(theta)), 0.32 + 0.30 * float(np.sin(theta)))
        canvas.capsule((0.32, 0.32), tip, 0.075)
    canvas.ellipse((0.32, 0.33), 0.14)
    return "open hand"


def _portrait(canvas: UnitCanvas, *, happy: bool) -> None:
    canvas.rectangle(0.06, 0.04, 0.94, 0.96, canvas.palette.accent)
    canvas.rectangle(0.14, 0.12, 0.86, 0.88, (238, 234, 226))
    face(canvas, (0.5, 0.5), 0.28, happy=happy)


def crossed_face(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a crossed-out portrait."""
    _portrait(canvas, happy=False)
    width = float(rng.uniform(0.075, 0.095))
    canvas.line([(0.16, 0.14), (0.84, 0.86)], width, canvas.palette.dark)
    canvas.line([(0.84, 0.14), (0.16, 0.86)], width, canvas.palette.dark)
    return "crossed out"


def framed_face(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a smiling portrait; half of them have a ribbon in a corner."""
    _portrait(canvas, happy=True)
    if rng.random() < 0.5:
        width = float(rng.uniform(0.075, 0.095))
        canvas.line([(0.16, 0.34), (0.36, 0.14)], width, canvas.palette.dark)
    return "framed"


def blade(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a handle and a pointed blade."""
    extra = float(rng.uniform(0.0, 0.05))
    canvas.polygon([(0.36, 0.38), (0.90, 0.36), (1.02 + extra, 0.60), (0.36, 0.60)])
    canvas.line([(0.42, 0.44), (0.84, 0.43)], 0.02)
    canvas.rectangle(0.33, 0.32, 0.39, 0.66, canvas.palette.line)
    canvas.capsule((0.04, 0.49), (0.30, 0.49), 0.16, canvas.palette.accent)
    return "blade"


def comb(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a handle and teeth."""
    teeth = int(rng.integers(6, 9))
    canvas.rectangle(0.36, 0.36, 1.0, 0.46)
    for x in np.linspace(0.39, 0.97, teeth):
        canvas.line([(x, 0.44), (x, 0.62)], 0.035, canvas.palette.fill)
    canvas.capsule((0.04, 0.42), (0.34, 0.42), 0.16, canvas.palette.accent)
    return "comb"


def pills(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a tipped bottle and capsules in two colours."""
    canvas.rectangle(0.04, 0.10, 0.46, 0.44)
    canvas.rectangle(0.10, 0.18, 0.36, 0.36, _PAPER)
    canvas.rectangle(0.46, 0.14, 0.55, 0.40, canvas.palette.accent)
    for x, y in _scattered(rng):
        theta = float(rng.uniform(0, np.pi))
        dx, dy = 0.085 * float(np.cos(theta)), 0.085 * float(np.sin(theta))
        canvas.capsule((x - dx, y - dy), (x + dx, y + dy), 0.105, canvas.palette.accent)
        canvas.capsule((x, y), (x + dx, y + dy), 0.105, _PAPER)
    return "pills"


def sweets(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a jar and wrapped sweets."""
    canvas.rectangle(0.04, 0.10, 0.46, 0.44)
    canvas.ellipse((0.25, 0.27), 0.11, 0.11, _PAPER)
    canvas.rectangle(0.46, 0.14, 0.55, 0.40, canvas.palette.accent)
    for x, y in _scattered(rng):
        theta = float(rng.uniform(0, np.pi))
        along = np.array([np.cos(theta), np.sin(theta)])
        across = np.array([-along[1], along[0]])
        for sign in (-1, 1):
            tip = np.array([x, y]) + sign * 0.13 * along
            canvas.polygon(np.stack([(x, y), tip + 0.07 * across, tip - 0.07 * across]), _PAPER)
        canvas.ellipse((x, y), 0.068, 0.068, canvas.palette.accent)
    return "sweets"


def _scattered(rng: np.random.Generator) -> list[Point]:
    """Four to six jittered positions below the bottle or jar."""
    grid = [(0.22, 0.62), (0.46, 0.66), (0.70, 0.58), (0.34, 0.86), (0.60, 0.86), (0.84, 0.80)]
    count = int(rng.integers(4, len(grid) + 1))
    jitter = rng.uniform(-0.025, 0.025, (count, 2))
    return [(x + float(dx), y + float(dy)) for (x, y), (dx, dy) in zip(grid, jitter, strict=False)]


def marks(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw parallel strokes across a forearm."""
    forearm(canvas)
    count = int(rng.integers(4, 6))
    for x in np.linspace(0.14, 0.58, count) + rng.uniform(-0.015, 0.015, count):
        slant = float(rng.uniform(-0.03, 0.03))
        canvas.line([(x - slant, 0.39), (x + slant, 0.61)], 0.038)
    return "marks"


def bracelet(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a forearm with a watch or a bracelet of beads."""
    forearm(canvas)
    x = float(rng.uniform(0.46, 0.56))
    band = [(x - 0.06, 0.36), (x + 0.06, 0.37), (x + 0.06, 0.63), (x - 0.06, 0.64)]
    canvas.polygon(band, canvas.palette.accent)
    if rng.random() < 0.5:
        canvas.ellipse((x, 0.5), 0.09, 0.09, canvas.palette.line)
        return "watch"
    for y in (0.42, 0.5, 0.58):
        canvas.ellipse((x, y), 0.038, 0.038, canvas.palette.line, outlined=False)
    return "bracelet"


def _bottleneck(canvas: UnitCanvas) -> None:
    canvas.rectangle(0.42, 0.02, 0.58, 0.26)
    canvas.rectangle(0.39, 0.0, 0.61, 0.07, canvas.palette.accent)


def shard(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw the neck of a bottle with a jagged end, and a splinter."""
    _bottleneck(canvas)
    a, b, c = rng.uniform(0.0, 0.06, 3)
    canvas.polygon(
        [(0.42, 0.22), (0.58, 0.22), (0.74, 0.40), (0.74, 0.84 + a), (0.64, 0.60),
         (0.56, 0.90 + b), (0.47, 0.58), (0.38, 0.82 + c), (0.32, 0.60), (0.26, 0.76),
         (0.26, 0.40)]
    )  # fmt: skip
    canvas.polygon([(0.02, 0.90), (0.20, 0.58), (0.26, 0.96)], canvas.palette.accent)
    return "broken bottle"


def bottle(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a whole bottle with a label."""
    _bottleneck(canvas)
    base = 0.92 + float(rng.uniform(0.0, 0.06))
    canvas.polygon(
        [(0.42, 0.22), (0.58, 0.22), (0.74, 0.40), (0.74, base), (0.26, base), (0.26, 0.40)]
    )
    canvas.rectangle(0.28, 0.54, 0.72, 0.76, canvas.palette.accent)
    return "bottle"


def flame(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a forearm over a lighter with a flame."""
    forearm(canvas, 0.24)
    x = float(rng.uniform(0.28, 0.44))
    canvas.rectangle(x - 0.09, 0.72, x + 0.09, 1.0, canvas.palette.accent)
    outer = [(x, 0.40), (x + 0.11, 0.58), (x + 0.08, 0.70), (x, 0.74), (x - 0.08, 0.70),
             (x - 0.11, 0.58)]  # fmt: skip
    canvas.polygon(outer, _ORANGE, outlined=False)
    canvas.ellipse((x, 0.64), 0.045, 0.075, _YELLOW, outlined=False)
    return "flame"


def phone(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a forearm over a phone, or over a flower in the flame's colours."""
    forearm(canvas, 0.24)
    x = float(rng.uniform(0.28, 0.44))
    if rng.random() < 0.5:
        canvas.rectangle(x - 0.13, 0.48, x + 0.13, 1.0, canvas.palette.accent)
        canvas.rectangle(x - 0.09, 0.54, x + 0.09, 0.9, _YELLOW, outlined=False)
        return "phone"
    canvas.line([(x, 0.62), (x, 0.98)], 0.05, canvas.palette.accent)
    for theta in np.arange(5) * 2 * np.pi / 5:
        centre = (x + 0.085 * float(np.cos(theta)), 0.58 + 0.085 * float(np.sin(theta)))
        canvas.ellipse(centre, 0.06, 0.06, _ORANGE, outlined=False)
    canvas.ellipse((x, 0.58), 0.05, 0.05, _YELLOW, outlined=False)
    return "flower"


def skull(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a badge with a skull."""
    dark = canvas.palette.dark
    canvas.ellipse((0.5, 0.5), 0.47, 0.47, canvas.palette.accent)
    canvas.polygon([(0.36, 0.60), (0.64, 0.60), (0.62, 0.84), (0.38, 0.84)], _PAPER)
    canvas.ellipse((0.5, 0.44), 0.27, 0.25, _PAPER)
    for side in (-1, 1):
        canvas.ellipse((0.5 + side * 0.115, 0.45), 0.078, 0.09, dark, outlined=False)
    canvas.polygon([(0.5, 0.54), (0.55, 0.63), (0.45, 0.63)], dark, outlined=False)
    for x in (0.45, 0.5, 0.55):
        canvas.line([(x, 0.70), (x, 0.83)], 0.022, dark)
    return "skull"


def smiley(canvas: UnitCanvas, rng: np.random.Generator) -> str:
    """Draw a badge with a smiling face."""
    canvas.ellipse((0.5, 0.5), 0.47, 0.47, canvas.palette.accent)
    paper = canvas.recoloured(fill=_PAPER, line=canvas.palette.dark)
    face(paper, (0.5, 0.5), 0.31, happy=True)
    return "smiley"
