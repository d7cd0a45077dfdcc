"""Canvas of one object: shapes and block letters in unit coordinates, rendered to a layer."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from counterveil.types import Mask

Colour = tuple[int, int, int]
Point = tuple[float, float]
Points = Sequence[Point] | np.ndarray
UnitBox = tuple[float, float, float, float]
"""Left, top, right, bottom in the unit square."""

SUPERSAMPLING = 2

_THETA = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_THETA), np.sin(_THETA)], axis=1)
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 9)


@dataclass(frozen=True)
class Palette:
    """Colours of one object, RGB.

    Attributes:
        fill: colour of the main part.
        accent: colour of the second part.
        line: colour of outlines and details.
        outline_width: width of the outline in hundredths of the object's side; 0 for none.
    """

    fill: Colour
    accent: Colour
    line: Colour
    outline_width: float

    @property
    def dark(self) -> Colour:
        """Colour of details on light surfaces: the line colour if dark, else near black."""
        return self.line if sum(self.line) < 300 else (28, 26, 32)

    @classmethod
    def random(cls, rng: np.random.Generator) -> Palette:
        """Draw colours until fill and accent contrast with each other and both with the lines."""
        while True:
            fill, accent = both = rng.uniform(30, 245, (2, 3))
            darker, brighter = sorted(both.mean(axis=1))
            both_light, both_dim = darker > 110, brighter < 150
            if np.abs(accent - fill).sum() >= 170 and (both_light or both_dim):
                break
        line = rng.uniform(0, 45, 3) if both_light else rng.uniform(225, 255, 3)
        first, second, third = ((int(r), int(g), int(b)) for r, g, b in (fill, accent, line))
        return cls(first, second, third, float(rng.choice([0.0, 1.5, 2.5, 3.5])))


@dataclass(frozen=True, eq=False)
class BoxProjection:
    """Box of the unit square on the scene: pixels ``(H, W)``, and area with the part outside."""

    mask: Mask
    area: float


@dataclass(frozen=True, eq=False)
class Layer:
    """Rendered object, cropped to the scene.

    Attributes:
        window: rows and columns of the scene that it covers.
        colours: ``(h, w, 3)`` float32 in ``[0, 255]``.
        alpha: coverage ``(h, w)`` in ``[0, 1]``.
        inside_fraction: share of the object's coverage that lies inside the scene.
    """

    window: tuple[slice, slice]
    colours: np.ndarray
    alpha: np.ndarray
    inside_fraction: float


class UnitCanvas:
    """Draws shapes given in the unit square (x right, y down); one affine map places them all.

    Args:
        size: height, width of the scene in pixels.
        centre: (x, y) pixel at which the middle of the unit square lies.
        side: side of the unit square in pixels.
        angle: rotation in degrees, clockwise.
        mirrored: exchange left and right before rotating.
        palette: colours.
    """

    def __init__(
        self, size: tuple[int, int], *, centre: Point, side: float, angle: float,
        mirrored: bool, palette: Palette,
    ) -> None:  # fmt: skip
        # 0.78 > sqrt(2) / 2: the rotated square fits, with room for parts that stick out a little.
        radius = int(side * 0.78) + 2
        left, top = int(centre[0]) - radius, int(centre[1]) - radius
        self._window = (left, top, left + 2 * radius, top + 2 * radius)
        self._size = size
        # Drawn larger and then averaged: Pillow's polygons have no antialiasing.
        pixels = 2 * radius * SUPERSAMPLING
        self._image = Image.new("RGBA", (pixels, pixels))
        self._draw = ImageDraw.Draw(self._image)
        self._offset = np.array([centre[0] - left, centre[1] - top]) * SUPERSAMPLING
        self._scale = side * SUPERSAMPLING
        theta = np.deg2rad(angle)
        rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
        self._matrix = rotation * self._scale * np.array([-1.0 if mirrored else 1.0, 1.0])
        self.palette = palette

    def recoloured(self, *, fill: Colour, line: Colour) -> UnitCanvas:
        """The same drawing surface with another fill and line colour."""
        other = copy(self)
        other.palette = replace(self.palette, fill=fill, line=line)
        return other

    def polygon(
        self, points: Points, colour: Colour | None = None, *, outlined: bool = True
    ) -> None:
        """Draw a filled polygon, with the palette's outline unless ``outlined`` is false."""
        pixels = self._to_pixels(points)
        self._draw.polygon(pixels, fill=colour or self.palette.fill)
        width = round(self.palette.outline_width * self._scale / 100)
        if outlined and width > 0:
            # The first edge is repeated, so that the last corner gets a joint too.
            closed = [*pixels, pixels[0], pixels[1]]
            self._draw.line(closed, self.palette.line, width, joint="curve")

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: Colour | None = None,
        *, outlined: bool = True,
    ) -> None:  # fmt: skip
        """Draw a filled rectangle."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.polygon(corners, colour, outlined=outlined)

    def ellipse(
        self, centre: Point, rx: float, ry: float | None = None, colour: Colour | None = None,
        *, outlined: bool = True,
    ) -> None:  # fmt: skip
        """Draw a filled ellipse; a circle if ``ry`` is ``None``."""
        radii = np.array([rx, rx if ry is None else ry])
        self.polygon(np.asarray(centre) + radii * _CIRCLE, colour, outlined=outlined)

    def capsule(self, start: Point, end: Point, width: float, colour: Colour | None = None) -> None:
        """Draw a bar with round ends, outlined like a polygon."""
        direction = np.arctan2(end[1] - start[1], end[0] - start[0])
        angle = np.concatenate([direction + _HALF_TURN, direction + np.pi + _HALF_TURN])
        vertices = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (width / 2)
        vertices[: len(_HALF_TURN)] += end
        vertices[len(_HALF_TURN) :] += start
        self.polygon(vertices, colour)

    def line(self, points: Points, width: float, colour: Colour | None = None) -> None:
        """Draw a polyline with round ends; ``width`` in unit coordinates."""
        pixels = self._to_pixels(points)
        thickness = max(1.0, width * self._scale)
        colour = colour or self.palette.line
        self._draw.line(pixels, colour, round(thickness), joint="curve")
        r = thickness / 2
        for x, y in (pixels[0], pixels[-1]):
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def text(self, word: str, box: UnitBox, stroke_width: float, colour: Colour) -> None:
        """Write a word in block letters into a box; no font file, so the same on any machine."""
        left, top, right, bottom = box
        pitch = (right - left) / len(word)
        for index, letter in enumerate(word):
            x, width = left + pitch * (index + 0.14), pitch * 0.72
            for stroke in _STROKES[letter]:
                points = [(x + px * width, top + py * (bottom - top)) for px, py in stroke]
                self.line(points, stroke_width, colour)

    def _to_pixels(self, points: Points) -> list[Point]:
        pixels = (np.asarray(points, float) - 0.5) @ self._matrix.T + self._offset
        return list(map(tuple, pixels.tolist()))

    def project(self, box: UnitBox) -> BoxProjection:
        """Project a box of the unit square onto the scene."""
        left, top, right, bottom = box
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        offset = np.array(self._window[:2]) * SUPERSAMPLING
        placed = (np.array(self._to_pixels(corners)) + offset) / SUPERSAMPLING
        height, width = self._size
        mask = Image.new("1", (width, height))
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in placed], fill=1)
        side = self._scale / SUPERSAMPLING
        return BoxProjection(np.asarray(mask), (right - left) * (bottom - top) * side**2)

    def layer(self) -> Layer:
        """Render what was drawn, cropped to the scene."""
        small = self._downsampled()
        alpha = small[..., 3] / 255
        left, top, right, bottom = self._window
        height, width = self._size
        rows = slice(max(0, -top), max(0, min(bottom, height) - top))
        columns = slice(max(0, -left), max(0, min(right, width) - left))
        inside = alpha[rows, columns]
        top, left = max(0, top), max(0, left)
        window = slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1])
        fraction = float(inside.sum()) / float(alpha.sum())
        return Layer(window, small[rows, columns, :3], inside, fraction)

    def _downsampled(self) -> np.ndarray:
        """Average to the scene's resolution; only the bounding box of the drawing, for speed."""
        width, height = (side // SUPERSAMPLING for side in self._image.size)
        small = np.zeros((height, width, 4), np.float32)
        if box := self._image.getbbox():
            left, top = (side // SUPERSAMPLING for side in box[:2])
            right, bottom = (-(-side // SUPERSAMPLING) for side in box[2:])
            bounds = tuple(SUPERSAMPLING * side for side in (left, top, right, bottom))
            drawn = self._image.crop(bounds)  # type: ignore[arg-type]
            small[top:bottom, left:right] = np.asarray(drawn.reduce(SUPERSAMPLING))
        return small


_STROKES: dict[str, tuple[tuple[Point, ...], ...]] = {
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
"""Strokes of each block letter in the unit square, as polylines."""
