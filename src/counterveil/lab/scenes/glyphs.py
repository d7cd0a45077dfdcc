"""Block letters drawn as strokes: no font file, the same on every machine.

``PLACEHOLDERS`` are made-up tokens that stand in for insults; they mean nothing in any language
we know of. ``KIND_WORDS`` are their safe twins, of the same lengths and letters' style.
"""

from __future__ import annotations

from counterveil.lab.scenes.pen import Colour, Pen

PLACEHOLDERS = ("ZORK", "GRUX", "VEXX", "KROZ", "XUZZ", "ZURG")
KIND_WORDS = ("HELLO", "LOVE", "NICE", "PEACE", "HAPPY", "TEA")

_STROKES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "A": (((0, 1), (0.5, 0), (1, 1)), ((0.2, 0.65), (0.8, 0.65))),
    "C": (((1, 0.15), (0.6, 0), (0.15, 0.2), (0, 0.5), (0.15, 0.8), (0.6, 1), (1, 0.85)),),
    "E": (((1, 0), (0, 0), (0, 1), (1, 1)), ((0, 0.5), (0.75, 0.5))),
    "G": (((1, 0.15), (0.5, 0), (0, 0.3), (0, 0.7), (0.5, 1), (1, 0.85), (1, 0.55), (0.6, 0.55)),),
    "H": (((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, 0.5), (1, 0.5))),
    "I": (((0.5, 0), (0.5, 1)), ((0.2, 0), (0.8, 0)), ((0.2, 1), (0.8, 1))),
    "K": (((0, 0), (0, 1)), ((1, 0), (0, 0.55), (1, 1))),
    "L": (((0, 0), (0, 1), (1, 1)),),
    "N": (((0, 1), (0, 0), (1, 1), (1, 0)),),
    "O": (((0.5, 0), (0, 0.3), (0, 0.7), (0.5, 1), (1, 0.7), (1, 0.3), (0.5, 0)),),
    "P": (((0, 1), (0, 0), (0.8, 0), (1, 0.25), (0.8, 0.5), (0, 0.5)),),
    "R": (((0, 1), (0, 0), (0.8, 0), (1, 0.25), (0.8, 0.5), (0, 0.5)), ((0.4, 0.5), (1, 1))),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "U": (((0, 0), (0, 0.75), (0.5, 1), (1, 0.75), (1, 0)),),
    "V": (((0, 0), (0.5, 1), (1, 0)),),
    "X": (((0, 0), (1, 1)), ((1, 0), (0, 1))),
    "Y": (((0, 0), (0.5, 0.5), (1, 0)), ((0.5, 0.5), (0.5, 1))),
    "Z": (((0, 0), (1, 0), (0, 1), (1, 1)),),
}


def write(
    pen: Pen, word: str, box: tuple[float, float, float, float], weight: float, colour: Colour
) -> None:
    """Write a word into a box ``(left, top, right, bottom)`` of the unit square."""
    left, top, right, bottom = box
    pitch = (right - left) / len(word)
    for place, letter in enumerate(word):
        x, width = left + pitch * (place + 0.14), pitch * 0.72
        for stroke in _STROKES[letter]:
            points = [(x + px * width, top + py * (bottom - top)) for px, py in stroke]
            pen.line(points, weight, colour)
