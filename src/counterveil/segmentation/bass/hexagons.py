"""Where BASS starts: a honeycomb."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int32
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.connectivity import connect
from counterveil.types import Labels


def honeycomb(height: int, width: int, size: float) -> Labels:
    """Hexagons of area ``size`` squared, as labels ``0 .. K-1`` in reading order.

    The corner radius is ``sqrt(size^2 / (1.5 sqrt 3))``; every other row is shifted by half a
    width, and the nearest centre takes the pixel.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        size: square root of a hexagon's area, in pixels, at least 1.
    """
    radius = math.sqrt(size * size / (1.5 * math.sqrt(3)))
    return connect(_nearest_centre(height, width, radius))


@compiled
def _nearest_centre(height: int, width: int, radius: float) -> Int32[ndarray, "height width"]:
    pitch = math.sqrt(3) * radius
    lift = 1.5 * radius
    across = int(width / pitch) + 3
    result = np.empty((height, width), dtype=np.int32)
    for y in range(height):
        low = int(y / lift)
        for x in range(width):
            best = np.inf
            for row in range(low, low + 2):
                shift = pitch / 2 if row % 2 == 0 else 0.0
                column = math.floor((x - shift) / pitch + 0.5)
                away = (x - column * pitch - shift) ** 2 + (y - row * lift) ** 2
                if away < best:
                    best = away
                    result[y, x] = row * across + column + 1
    return result
