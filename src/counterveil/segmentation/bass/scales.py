"""From fine to coarse and back."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.bass.pixels import Planes

_NARROWEST = 6  # side of a region, in pixels of the coarsest scale, that shrinking leaves
_SMALLEST = 8  # short side of the coarsest image, in pixels


def coarsening(side: float, height: int, width: int) -> int:
    """The power of two to shrink by, for regions of the given side."""
    shrink = 1
    while side >= 2 * shrink * _NARROWEST and min(height, width) >= 2 * shrink * _SMALLEST:
        shrink *= 2
    return shrink


def factors(number: int) -> list[int]:
    """Prime factors, smallest first: the steps by which an image is shrunk."""
    found, factor = [], 2
    while number > 1:
        if number % factor:
            factor += 1
        else:
            found.append(factor)
            number //= factor
    return found


def shrunken(planes: Planes, steps: list[int]) -> list[Planes]:
    """The image, and each smaller one."""
    scales = [planes]
    for step in steps:
        scales.append(pool(scales[-1], step))
    return scales


@compiled
def pool(
    planes: Float32[ndarray, "height width 4"], factor: int
) -> Float32[ndarray, "low narrow 4"]:
    """Means of ``factor`` x ``factor`` blocks; those cut by the edge average what is there."""
    height, width, channels = planes.shape
    rows, columns = (height + factor - 1) // factor, (width + factor - 1) // factor
    result = np.zeros((rows, columns, channels), dtype=np.float32)
    for row in range(rows):
        for y in range(row * factor, min(height, (row + 1) * factor)):
            for x in range(width):
                for c in range(channels):
                    result[row, x // factor, c] += planes[y, x, c]
        tall = min(height, (row + 1) * factor) - row * factor
        for column in range(columns):
            wide = min(width, (column + 1) * factor) - column * factor
            for c in range(channels):
                result[row, column, c] /= np.float32(tall * wide)
    return result
