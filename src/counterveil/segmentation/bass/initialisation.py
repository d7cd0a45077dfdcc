"""Start of BASS: a grid of hexagons on the coarsest level of an image pyramid."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from counterveil.segmentation.bass.colour import Features
from counterveil.segmentation.bass.jit import cached_njit
from counterveil.segmentation.regions import connected_regions
from counterveil.types import Labels

_MIN_REGION_SIDE = 6  # side of an initial region, in pixels of the coarsest level
_MIN_IMAGE_SIDE = 8  # shorter side of the coarsest level, in pixels


def hexagonal_grid(height: int, width: int, size: float) -> Labels:
    """Labels ``0 .. K-1`` of hexagons with an area of ``size`` squared, in reading order.

    The circumradius is ``sqrt(size^2 / (1.5 sqrt 3))``. Every other row is shifted by half a
    hexagon; each pixel takes the nearest centre.
    """
    radius = math.sqrt(size * size / (1.5 * math.sqrt(3)))
    return connected_regions(_nearest_centre(height, width, radius))


@cached_njit
def _nearest_centre(height: int, width: int, radius: float) -> Int32[ndarray, "height width"]:
    column_step = math.sqrt(3) * radius
    row_step = 1.5 * radius
    columns = int(width / column_step) + 3
    labels = np.empty((height, width), dtype=np.int32)
    for y in range(height):
        row_above = int(y / row_step)
        for x in range(width):
            nearest = np.inf
            for row in range(row_above, row_above + 2):
                shift = column_step / 2 if row % 2 == 0 else 0.0
                column = math.floor((x - shift) / column_step + 0.5)
                distance = (x - column * column_step - shift) ** 2 + (y - row * row_step) ** 2
                if distance < nearest:
                    nearest = distance
                    labels[y, x] = row * columns + column + 1
    return labels


def downscale_factor(side: float, height: int, width: int) -> int:
    """Largest power of two by which an image with regions of this side can be reduced."""
    factor = 1
    shorter = min(height, width)
    while side >= 2 * factor * _MIN_REGION_SIDE and shorter >= 2 * factor * _MIN_IMAGE_SIDE:
        factor *= 2
    return factor


def prime_factors(number: int) -> list[int]:
    """Prime factors of a positive number, smallest first."""
    factors, divisor = [], 2
    while number > 1:
        if number % divisor:
            divisor += 1
        else:
            factors.append(divisor)
            number //= divisor
    return factors


@cached_njit
def average_pool(features: Features, factor: int) -> Float32[ndarray, "rows columns 4"]:
    """Means of ``factor`` x ``factor`` blocks; blocks at the edge average the pixels they have."""
    height, width, channels = features.shape
    rows, columns = (height + factor - 1) // factor, (width + factor - 1) // factor
    result = np.zeros((rows, columns, channels), dtype=np.float32)
    for row in range(rows):
        for y in range(row * factor, min(height, (row + 1) * factor)):
            for x in range(width):
                for c in range(channels):
                    result[row, x // factor, c] += features[y, x, c]
        block_height = min(height, (row + 1) * factor) - row * factor
        for column in range(columns):
            block_width = min(width, (column + 1) * factor) - column * factor
            for c in range(channels):
                result[row, column, c] /= np.float32(block_height * block_width)
    return result
