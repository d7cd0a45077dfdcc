"""Input of BASS: CIELAB features, a pyramid of resolutions, hexagonal initial regions."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numpy import ndarray

from counterveil.segmentation.bass.model import cached_njit
from counterveil.segmentation.regions import connected_regions
from counterveil.types import AttributionMap, Image, Labels

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


Features = Float32[ndarray, "height width 4"]
"""(L / 100, a / 100, b / 100, guidance in [0, 1]) of each pixel."""


# Rows of the sRGB (D65) to XYZ matrix, each divided by that coordinate of the white point.
RGB_TO_XYZ = (
    np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
              [0.019334, 0.119193, 0.950227]])
    / np.array([[0.95047], [1.0], [1.08883]])
).astype(np.float32)  # fmt: skip
# Linear intensity of each 8-bit sRGB value.
_SRGB = np.arange(256) / 255
SRGB_TO_LINEAR = np.where(_SRGB > 0.04045, ((_SRGB + 0.055) / 1.055) ** 2.4, _SRGB / 12.92).astype(
    np.float32
)
# f(t) of CIELAB: a cube root, linear near 0; at t = 0 .. 1 and one step beyond for interpolation.
_STEPS = 4096
_T = np.arange(_STEPS + 2) / _STEPS
CUBE_ROOT = np.where(_T > (6 / 29) ** 3, np.cbrt(_T), _T * (841 / 108) + 4 / 29).astype(np.float32)


def pixel_features(image: Image, guidance: AttributionMap | None = None) -> Features:
    """CIELAB / 100 and normalised guidance of each pixel, ``(H, W, 4)``.

    Args:
        image: ``(H, W, 3)``.
        guidance: ``(H, W)``, non-negative, any scale; ``None`` gives zeros.
    """
    height, width = image.shape[:2]
    features = np.zeros((height, width, 4), dtype=np.float32)
    # Always contiguous and writeable: numba compiles again for strided or read-only arrays.
    pixels = np.require(image, requirements=["C", "W"])
    _write_lab(pixels, SRGB_TO_LINEAR, CUBE_ROOT, RGB_TO_XYZ, features)
    if guidance is not None:
        features[:, :, 3] = normalise_guidance(guidance)
    return features


def normalise_guidance(guidance: AttributionMap) -> AttributionMap:
    """Guidance divided by its 99th percentile and clipped to [0, 1].

    With the maximum instead, one very hot pixel would push all others towards 0.
    """
    top = float(np.percentile(guidance, 99)) or float(guidance.max())
    if top <= 0:
        return np.zeros_like(guidance, dtype=np.float32)
    return np.clip(guidance / np.float32(top), 0, 1).astype(np.float32)


@cached_njit
def _write_lab(
    image: UInt8[ndarray, "height width 3"],
    srgb_to_linear: Float32[ndarray, " 256"],
    cube_root: Float32[ndarray, " steps"],
    rgb_to_xyz: Float32[ndarray, "3 3"],
    features: Features,
) -> None:
    """Writes CIELAB / 100 into the first three channels; f(t) is interpolated linearly."""
    steps = np.float32(cube_root.size - 2)
    hundredth = np.float32(0.01)
    root = np.empty(3, dtype=np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            r = srgb_to_linear[image[y, x, 0]]
            g = srgb_to_linear[image[y, x, 1]]
            b = srgb_to_linear[image[y, x, 2]]
            for c in range(3):
                t = (rgb_to_xyz[c, 0] * r + rgb_to_xyz[c, 1] * g + rgb_to_xyz[c, 2] * b) * steps
                low = int(t)
                fraction = t - np.float32(low)
                root[c] = cube_root[low] + fraction * (cube_root[low + 1] - cube_root[low])
            # L = 116 f(Y) - 16, a = 500 (f(X) - f(Y)), b = 200 (f(Y) - f(Z)), each over 100.
            features[y, x, 0] = (np.float32(116) * root[1] - np.float32(16)) * hundredth
            features[y, x, 1] = np.float32(5) * (root[0] - root[1])
            features[y, x, 2] = np.float32(2) * (root[1] - root[2])
