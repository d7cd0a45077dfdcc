"""Whether a map points at the unsafe object."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from counterveil.types import AttributionMap, Mask

TOLERANCE = 15.0
"""Pixels by which the hottest pixel may lie beside the object."""


def pointing(
    attribution_map: AttributionMap, truth: Mask, *, tolerance: float = TOLERANCE
) -> float:
    """The pointing game: 1 where the hottest pixel lies at most ``tolerance`` from the object.

    Where several pixels are hottest (a map by regions has one value for each), it is the share of
    them that do: what picking one at random would score.

    Args:
        attribution_map: the map.
        truth: the object; not empty.
        tolerance: pixels, Euclidean.

    References:
        Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 2018.
    """
    near = distance_transform_edt(~truth) <= tolerance
    return float(near[attribution_map == attribution_map.max()].mean())


def energy(attribution_map: AttributionMap, truth: Mask) -> float:
    """The energy-based pointing game: the share of the map's sum that lies on the object.

    On its very pixels, where the authors had bounding boxes only. 0 for a map of zeros.

    References:
        Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
        Networks", CVPR Workshops 2020, section 4.3.
    """
    total = float(attribution_map.sum(dtype=np.float64))
    return float(attribution_map[truth].sum(dtype=np.float64)) / total if total else 0.0
