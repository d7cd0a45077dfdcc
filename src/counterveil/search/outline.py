"""Tidy masks: few pieces with smooth, closed outlines."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from counterveil.types import Mask

SMOOTHING = 1 / 50
"""Standard deviation of the Gaussian that smooths an outline, as a share of the shorter side."""

MIN_PIECE = 1 / 12
"""Smallest piece that stays, as a share of the largest one: smaller ones are scraps."""

_EDGE = 0.5  # a pixel is inside where at least half of its neighbourhood is


def tidy(mask: Mask) -> Mask:
    """The mask with a smooth outline, without holes, and without scraps.

    Args:
        mask: ``(H, W)``.

    Returns:
        A mask of about the same area; empty only if ``mask`` is.
    """
    # "nearest" continues the mask beyond the image, so that it does not shrink at the border.
    density = gaussian_filter(mask.astype(np.float32), SMOOTHING * min(mask.shape), mode="nearest")
    smooth = binary_fill_holes(density >= _EDGE)
    pieces, count = label(smooth)
    if not count:  # nothing but scraps: they are all there is
        return mask.copy()
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    kept: Mask = (areas >= MIN_PIECE * areas.max())[pieces] & smooth
    return kept
