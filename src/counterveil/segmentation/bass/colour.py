"""From RGB to what BASS sees: CIELAB, and how much each pixel matters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.types import AttributionMap, Image

_STEPS = 4096


def _linear() -> Float32[ndarray, " 256"]:
    """SRGB's transfer curve, undone."""
    value = np.arange(256) / 255
    curve = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    return curve.astype(np.float32)


def _lightness() -> Float32[ndarray, " steps"]:
    """CIELAB's cube root with its straight foot, at ``0 .. 1`` and one step beyond."""
    value = np.arange(_STEPS + 2) / _STEPS
    foot = value * (841 / 108) + 4 / 29
    return np.where(value > (6 / 29) ** 3, np.cbrt(value), foot).astype(np.float32)


# Rows of the sRGB (D65) to XYZ matrix, each divided by the white point's coordinate.
XYZ = (
    np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
              [0.019334, 0.119193, 0.950227]])
    / np.array([[0.95047], [1.0], [1.08883]])
).astype(np.float32)  # fmt: skip
LINEAR = _linear()
LIGHTNESS = _lightness()


def features(
    image: Image, guidance: AttributionMap | None = None
) -> Float32[ndarray, "height width 4"]:
    """(L / 100, a / 100, b / 100, importance) of each pixel.

    Args:
        image: ``(H, W, 3)``.
        guidance: ``(H, W)``, never negative, any scale; its 99th percentile becomes 1 and what
            is above is clipped, so that a single hot pixel does not cool all others.
    """
    height, width = image.shape[:2]
    result = np.zeros((height, width, 4), dtype=np.float32)
    # Always of one kind, since numba compiles anew for read-only or strided arrays.
    pixels = np.require(image, requirements=["C", "W"])
    _fill_lab(pixels, LINEAR, LIGHTNESS, XYZ, result)
    if guidance is not None:
        result[:, :, 3] = importance(guidance)
    return result


def importance(guidance: AttributionMap) -> AttributionMap:
    """Guidance with its 99th percentile at 1, and clipped there."""
    top = float(np.percentile(guidance, 99)) or float(guidance.max())
    if top <= 0:
        return np.zeros_like(guidance, dtype=np.float32)
    return np.clip(guidance / np.float32(top), 0, 1).astype(np.float32)


@compiled
def _fill_lab(
    image: UInt8[ndarray, "height width 3"],
    linear: Float32[ndarray, " 256"],
    lightness: Float32[ndarray, " steps"],
    xyz: Float32[ndarray, "3 3"],
    result: Float32[ndarray, "height width 4"],
) -> None:
    """Writes CIELAB / 100 into the first three channels; the cube root is interpolated."""
    steps = np.float32(lightness.size - 2)
    hundredth = np.float32(0.01)
    root = np.empty(3, dtype=np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            r = linear[image[y, x, 0]]
            g = linear[image[y, x, 1]]
            b = linear[image[y, x, 2]]
            for c in range(3):
                at = (xyz[c, 0] * r + xyz[c, 1] * g + xyz[c, 2] * b) * steps
                low = int(at)
                part = at - np.float32(low)
                root[c] = lightness[low] + part * (lightness[low + 1] - lightness[low])
            result[y, x, 0] = (np.float32(116) * root[1] - np.float32(16)) * hundredth
            result[y, x, 1] = np.float32(5) * (root[0] - root[1])
            result[y, x, 2] = np.float32(2) * (root[1] - root[2])
