"""Tidy masks: few pieces with smooth, closed outlines."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from counterveil.types import Mask

SMOOTHING = 1 / 50
"""Standard deviation of the Gaussian that smooths an outline, as a share of the shorter side."""

MIN_PIECE = 1 / 12
"""Smallest piece that stays, as a share of the largest one: smaller ones are scraps."""


_LOWEST_DENSITY = 0.05  # where a mask is nothing but specks, far apart


def tidy(mask: Mask) -> Mask:
    """The mask with a smooth outline, without holes, and without scraps.

    Args:
        mask: ``(H, W)``.

    Returns:
        A mask of the same area, but for holes that are filled and scraps that are dropped; empty
        only if ``mask`` is.
    """
    # "nearest" continues the mask beyond the image, so that it does not shrink at the border.
    density = gaussian_filter(mask.astype(np.float32), SMOOTHING * min(mask.shape), mode="nearest")
    # A level of one half would let small pieces shrink; this one keeps the area.
    level = max(float(np.quantile(density, 1 - mask.mean())), _LOWEST_DENSITY)
    smooth = binary_fill_holes(density >= level)
    pieces, count = label(smooth)
    if not count:  # nothing but scraps: they are all there is
        return mask.copy()
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    kept: Mask = (areas >= MIN_PIECE * areas.max())[pieces] & smooth
    return kept
