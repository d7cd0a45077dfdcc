"""Definition 1 of the paper: what a region is worth to the classifier."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.types import AttributionMap, Labels


def region_scores(attribution_map: AttributionMap, labels: Labels) -> Float64[ndarray, " regions"]:
    """Mean attribution of each region, ``(K,)``, in the map's own unit.

    Args:
        attribution_map: ``(H, W)``.
        labels: ``(H, W)``, ``0 .. K-1`` without gaps.

    Raises:
        UsageError: the two differ in shape.

    References:
        Definition 1 (Subobject Region Attribution Score) of the paper.
    """
    if attribution_map.shape != labels.shape:
        raise UsageError(f"a map of {attribution_map.shape} does not fit labels of {labels.shape}")
    flat = labels.ravel()
    totals = np.bincount(flat, weights=attribution_map.ravel())
    return totals / np.maximum(np.bincount(flat), 1)


def rank(scores: Float64[ndarray, " regions"]) -> Int64[ndarray, " regions"]:
    """Indices of the regions, highest score first; equal scores keep their order."""
    return np.argsort(-scores, kind="stable").astype(np.int64)
