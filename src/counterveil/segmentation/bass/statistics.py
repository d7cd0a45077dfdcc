"""What BASS knows of each region: sums over its pixels, and the Gaussian they amount to."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.types import Labels

Sums = Float64[ndarray, "regions 13"]
"""A row a region: pixels; x; y; xx; xy; yy; three colours; their squares; importance."""

Parameters = Float32[ndarray, "regions 9"]
"""A row a region: mean colour, weighed; mean x, y; inverse covariance; log determinant."""

COLUMNS = 13
PIXELS, COLOUR, SQUARES, IMPORTANCE = 0, slice(6, 9), slice(9, 12), 12


@compiled
def sum_up(labels: Labels, planes: Float32[ndarray, "height width 4"], count: int) -> Sums:
    """Sums of every region over its pixels, ``(count, 13)``."""
    sums = np.zeros((count, 13))
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            row = sums[labels[y, x]]
            row[0] += 1
            row[1] += x
            row[2] += y
            row[3] += x * x
            row[4] += x * y
            row[5] += y * y
            for c in range(3):
                value = np.float64(planes[y, x, c])
                row[6 + c] += value
                row[9 + c] += value * value
            row[12] += planes[y, x, 3]
    return sums


def gaussians(
    sums: Sums, area: Float64[ndarray, " regions"], precision: float
) -> Float32[ndarray, "regions 9"]:
    """Parameters of each region: mean colour; mean x, y; inverse covariance; log determinant.

    The spatial covariance is the mean under a Normal-Inverse-Wishart prior that expects a round
    region of the given area: ``(a^2 I + S) / (n + 50 a - 3)``, S the scatter. Colours come out
    multiplied by the root of their precision, so that the sweep need not.

    Args:
        sums: of the regions.
        area: that the prior expects of each, in pixels, at least 1.
        precision: of a colour channel.

    References:
        Uziel, Ronen and Freifeld, "Bayesian Adaptive Superpixel Segmentation", ICCV 2019.
    """
    n, x, y, xx, xy, yy = sums[:, :6].T
    scatter = np.stack([xx - x * x / n, xy - x * y / n, yy - y * y / n]) * (n > 3)
    bottom = n + 50 * area - 3
    sxx, sxy, syy = (area**2 * np.array([[1], [0], [1]]) + scatter) / bottom
    determinant = np.maximum(sxx * syy - sxy * sxy, 1e-12)
    result = np.empty((len(sums), 9), dtype=np.float32)
    result[:, 0:3] = sums[:, COLOUR] / n[:, None] * np.sqrt(precision)
    result[:, 3] = x / n
    result[:, 4] = y / n
    result[:, 5] = syy / determinant
    result[:, 6] = -2 * sxy / determinant
    result[:, 7] = sxx / determinant
    result[:, 8] = np.log(determinant)
    return result
