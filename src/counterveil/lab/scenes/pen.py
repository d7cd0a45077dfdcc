"""Drawing in unit coordinates: shapes are placed by one affine map, onto a coverage mask too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | np.ndarray

SUPERSAMPLE = 2
"""Drawn twice as large, then averaged: smooth edges without a renderer."""


@dataclass(frozen=True)
class Ink:
    """The colours one object is drawn in; unsafe things and their twins draw from the same.

    Attributes:
        fill: of the main part.
        accent: of the second part.
        line: of outlines and details.
        outline: width of the outline, in hundredths of the object; 0 draws none.
    """

    fill: Colour
    accent: Colour
    line: Colour
    outline: float

    @property
    def printed(self) -> Colour:
        """For details on paper, which is always light."""
        return self.line if sum(self.line) < 300 else (28, 26, 32)


class Pen:
    """Draws shapes given in ``[0, 1]`` squared, x right, y down, turned and scaled as one.

    Args:
        width: of the canvas, pixels.
        height: of the canvas, pixels.
        centre: where the middle of the unit square comes to lie, (x, y) pixels.
        side: of the unit square, pixels.
        angle: turned by, degrees, clockwise.
        mirror: whether left and right are exchanged.
        ink: colours.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        centre: tuple[float, float],
        side: float,
        angle: float,
        mirror: bool,
        ink: Ink,
    ) -> None:
        reach = int(side * 0.78) + 2
        left, top = int(centre[0]) - reach, int(centre[1]) - reach
        self._box = (left, top, left + 2 * reach, top + 2 * reach)
        self._limits = (width, height)
        size = (2 * reach * SUPERSAMPLE, 2 * reach * SUPERSAMPLE)
        self._image = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self._image)
        self._origin = np.array([centre[0] - left, centre[1] - top]) * SUPERSAMPLE
        turn = np.deg2rad(angle)
        self._scale = side * SUPERSAMPLE
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        self._matrix = matrix * self._scale * np.array([-1.0 if mirror else 1.0, 1.0])
        self.ink = ink

    def polygon(self, points: Points, colour: Colour | None = None, *, edge: bool = True) -> None:
        """A filled polygon, outlined when the ink has an outline."""
        placed = self._place(points)
        self._draw.polygon(placed, fill=colour or self.ink.fill)
        width = round(self.ink.outline * self._scale / 100)
        if edge and width > 0:
            self._draw.line([*placed, placed[0], placed[1]], self.ink.line, width, joint="curve")

    def line(self, points: Points, width: float, colour: Colour | None = None) -> None:
        """A line of a width in units, with round ends."""
        placed = self._place(points)
        thick = max(1.0, width * self._scale)
        ink = colour or self.ink.line
        self._draw.line(placed, ink, round(thick), joint="curve")
        for x, y in (placed[0], placed[-1]):
            r = thick / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)

    def ellipse(
        self,
        centre: tuple[float, float],
        rx: float,
        ry: float | None = None,
        colour: Colour | None = None,
        *,
        edge: bool = True,
    ) -> None:
        """A filled ellipse."""
        self.polygon(ring(centre, rx, rx if ry is None else ry), colour, edge=edge)

    def capsule(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Colour | None = None,
    ) -> None:
        """A bar with round ends, outlined like a polygon."""
        self.polygon(bar(start, end, width), colour)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        placed = (np.asarray(points, float) - 0.5) @ self._matrix.T + self._origin
        return list(map(tuple, placed.tolist()))

    def part(self, left: float, top: float, right: float, bottom: float) -> Part:
        """A box of the unit square as it lies on the canvas."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        offset = np.array(self._box[:2]) * SUPERSAMPLE
        placed = (np.array(self._place(corners)) + offset) / SUPERSAMPLE
        mask = Image.new("1", self._limits)
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in placed], fill=1)
        unit = self._scale / SUPERSAMPLE
        return Part(np.asarray(mask), (right - left) * (bottom - top) * unit**2)

    def result(self) -> Drawn:
        """What was drawn, cut to the canvas."""
        small = self._averaged()
        alpha = small[..., 3] / 255
        left, top, right, bottom = self._box
        width, height = self._limits
        rows = slice(max(0, -top), max(0, min(bottom, height) - top))
        columns = slice(max(0, -left), max(0, min(right, width) - left))
        whole = float(alpha.sum())
        kept = alpha[rows, columns]
        return Drawn(
            max(0, top), max(0, left), small[rows, columns, :3], kept, float(kept.sum()) / whole
        )

    def _averaged(self) -> np.ndarray:
        """The drawing at the canvas's scale; only what was drawn on is averaged."""
        width, height = (side // SUPERSAMPLE for side in self._image.size)
        small = np.zeros((height, width, 4), np.float32)
        if box := self._image.getbbox():
            left, top = (side // SUPERSAMPLE for side in box[:2])
            right, bottom = (-(-side // SUPERSAMPLE) for side in box[2:])
            inked = self._image.crop(
                (left * SUPERSAMPLE, top * SUPERSAMPLE, right * SUPERSAMPLE, bottom * SUPERSAMPLE)
            )
            small[top:bottom, left:right] = np.asarray(inked.reduce(SUPERSAMPLE))
        return small


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a drawing.

    Attributes:
        mask: its pixels on the canvas.
        area: in pixels, with those off the canvas.
    """

    mask: np.ndarray
    area: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """A drawing, cut to the canvas.

    Attributes:
        top: row of its first pixel.
        left: column of its first pixel.
        colours: ``(h, w, 3)`` in ``[0, 255]``.
        alpha: coverage ``(h, w)`` in ``[0, 1]``.
        inside: share of it that lies on the canvas.
    """

    top: int
    left: int
    colours: np.ndarray
    alpha: np.ndarray
    inside: float

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas that it covers."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def ring(centre: tuple[float, float], rx: float, ry: float, corners: int = 28) -> np.ndarray:
    """Corners of an ellipse."""
    corner: np.ndarray = np.asarray(centre) + np.array([rx, ry]) * _circle(corners)
    return corner


@cache
def _circle(corners: int) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def bar(start: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """Corners of a bar with round ends."""
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    angle = np.concatenate([along + _HALF_TURN, along + np.pi + _HALF_TURN])
    corners = np.empty((len(angle), 2))
    np.cos(angle, out=corners[:, 0])
    np.sin(angle, out=corners[:, 1])
    corners *= width / 2
    corners[: len(_HALF_TURN)] += end
    corners[len(_HALF_TURN) :] += start
    return corners


_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 9)


def star(centre: tuple[float, float], outer: float, inner: float, points: int) -> np.ndarray:
    """Corners of a star, one point up."""
    turn = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return np.stack([centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)], axis=1)
