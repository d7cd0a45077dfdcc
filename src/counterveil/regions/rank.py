"""Definition 1 of the paper: what a region is worth to the classifier."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.types import Heat, Labels


def region_scores(heat: Heat, labels: Labels) -> Float64[ndarray, " regions"]:
    """Mean attribution of each region, ``(K,)``, in the map's own unit.

    Args:
        heat: ``(H, W)``.
        labels: ``(H, W)``, ``0 .. K-1`` without gaps.

    Raises:
        UsageError: the two differ in shape.

    References:
        Definition 1 (Subobject Region Attribution Score) of the paper.
    """
    if heat.shape != labels.shape:
        raise UsageError(f"a map of {heat.shape} does not fit labels of {labels.shape}")
    flat = labels.ravel()
    totals = np.bincount(flat, weights=heat.ravel())
    return totals / np.maximum(np.bincount(flat), 1)


def rank(scores: Float64[ndarray, " regions"]) -> Int64[ndarray, " regions"]:
    """Indices of the regions, highest score first; equal scores keep their order."""
    return np.argsort(-scores, kind="stable").astype(np.int64)
