"""Completes a mask to the objects that it touches, within what a segmenter calls an object.

A veil that flips a classifier may hide scraps of a body. They become one piece here: the part of
the foreground around them that argues for unsafe as they do. The growth is bounded, so that
neither a whole crowd nor a whole body is veiled for a small core.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import binary_propagation, distance_transform_edt, gaussian_filter, label

from counterveil.masking.objects import fill_small_holes
from counterveil.types import AttributionMap, ForegroundMap, Mask

_ANY_NEIGHBOUR = np.ones((3, 3), bool)
_LEVEL_STEP = 2  # of the levels, once closings count


@dataclass(frozen=True)
class GrowthSettings:
    """How far a core grows within the foreground.

    Lengths are shares of the image's shorter side.

    Attributes:
        min_probability: of a pixel of the foreground.
        min_overlap: least share of a core's part on the foreground; a part that lies on
            background is not completed.
        min_attribution: least attribution of an added pixel, as a share of the core's mean.
        max_growth: largest area of the result, as a multiple of the core's.
        max_area: largest area of the result where the core is smaller, as a share of the image.
        smoothing: standard deviation of the Gaussian that smooths the attribution.
        closing: gaps and notches of up to twice this width are closed.
        max_hole: largest hole that is filled, as a share of its object's area.
        levels: levels of attribution that are tried.
    """

    min_probability: float = 0.5
    min_overlap: float = 0.25
    min_attribution: float = 0.5
    max_growth: float = 3.0
    max_area: float = 0.25
    smoothing: float = 1 / 50
    closing: float = 1 / 40
    max_hole: float = 0.25
    levels: int = 64


_DEFAULT_SETTINGS = GrowthSettings()


def complete_to_objects(
    core_mask: Mask,
    foreground: ForegroundMap,
    attribution_map: AttributionMap,
    *,
    settings: GrowthSettings = _DEFAULT_SETTINGS,
) -> Mask:
    """The core, and the foreground around it that argues as it does.

    Nothing outside the foreground is added. Of all attribution levels from
    ``settings.min_attribution`` on, the lowest is taken at which the result is small enough.

    Args:
        core_mask: parts of objects, ``(H, W)``.
        foreground: probability of an object, ``(H, W)``.
        attribution_map: attribution, ``(H, W)``.
        settings: how far a core grows.

    Returns:
        A mask ``(H, W)`` that includes the core.
    """
    inside = foreground >= settings.min_probability
    seeds = _parts_on(inside, core_mask, settings.min_overlap)
    if not seeds.any():
        return core_mask.copy()
    attribution = _smoothed(attribution_map, settings.smoothing)
    lowest = settings.min_attribution * float(attribution[seeds & inside].mean())
    open_to_growth = inside & (attribution >= lowest)
    if not open_to_growth.any():
        return core_mask.copy()
    levels = np.quantile(attribution[open_to_growth], np.linspace(0, 1, settings.levels))
    largest = max(
        float(core_mask.sum()),
        min(
            settings.max_growth * seeds.sum() + (core_mask & ~seeds).sum(),
            settings.max_area * core_mask.size,
        ),
    )

    def reached(level: float) -> Mask:
        allowed = seeds | (open_to_growth & (attribution >= level))
        connected: Mask = binary_propagation(seeds, _ANY_NEIGHBOUR, mask=allowed)
        return connected

    # The area falls as the level rises. A closing costs far more than a propagation, so the level
    # is found without it, then raised until the closed result is small enough, too.
    start = bisect_left(
        levels, True, key=lambda level: (core_mask | reached(level)).sum() <= largest
    )
    for level in levels[start::_LEVEL_STEP]:
        grown: Mask = core_mask | (_smooth_outline(reached(level), settings) & inside)
        if grown.sum() <= largest:
            return grown
    return core_mask.copy()


def _parts_on(inside: Mask, core_mask: Mask, min_overlap: float) -> Mask:
    """The connected parts of the core of which enough lies on the foreground."""
    numbers, count = label(core_mask, _ANY_NEIGHBOUR)
    area = np.bincount(numbers.ravel(), minlength=count + 1)
    overlap = np.bincount(numbers.ravel(), inside.ravel(), minlength=count + 1)
    enough = overlap >= min_overlap * area
    enough[0] = False  # 0 is no part
    kept: Mask = enough[numbers]
    return kept


def _smoothed(attribution_map: AttributionMap, smoothing: float) -> Float64[np.ndarray, "h w"]:
    # Maps are rough at single pixels, and another encoding roughens them in another way.
    sigma = smoothing * min(attribution_map.shape)
    smooth: np.ndarray = gaussian_filter(attribution_map.astype(np.float64), sigma)
    return smooth


def _smooth_outline(mask: Mask, settings: GrowthSettings) -> Mask:
    """The mask without notches, gaps between its pieces and small holes."""
    width = settings.closing * min(mask.shape)
    return fill_small_holes(_closed(mask, width), settings.max_hole)


def _closed(mask: Mask, width: float) -> Mask:
    """Morphological closing by a disc, by distances, which cost the same for any width."""
    # Only where the mask is; the border must not count as the mask's outside or inside.
    around = int(np.ceil(width)) + 1
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    place = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(mask[place], 2 * around)
    dilated = distance_transform_edt(~padded) <= width
    closed = distance_transform_edt(dilated) > width
    result: Mask = mask.copy()
    result[place] |= closed[2 * around : -2 * around, 2 * around : -2 * around]
    return result
