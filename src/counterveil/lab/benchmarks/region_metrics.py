"""Metrics of masks and partitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Real
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.types import Mask


@dataclass(frozen=True)
class MaskOverlap:
    """A mask compared with a ground truth.

    Attributes:
        coverage: share of the unsafe pixels that are veiled (recall).
        precision: share of the veiled pixels that are unsafe.
        iou: intersection over union.
        area_ratio: veiled area over true area.
        area: veiled area over the image's area.
    """

    coverage: float
    precision: float
    iou: float
    area_ratio: float
    area: float


def mask_overlap(mask: Mask, truth: Mask) -> MaskOverlap:
    """Compare two masks ``(H, W)``; ``truth`` must not be empty."""
    intersection = float((mask & truth).sum())
    veiled, unsafe = float(mask.sum()), float(truth.sum())
    return MaskOverlap(
        coverage=intersection / unsafe,
        precision=intersection / veiled if veiled else 0.0,
        iou=intersection / (veiled + unsafe - intersection),
        area_ratio=veiled / unsafe,
        area=veiled / mask.size,
    )


def explained_variation(
    image: Real[ndarray, "rows columns channels"], labels: Int[ndarray, "height width"]
) -> float:
    """Share of the colour variance that the regions' mean colours explain, 0 to 1 (best).

    Any colour space and number type. An image of one colour is explained in full.

    Raises:
        UsageError: the image and the labels differ in size, or are empty.

    References:
        Stutz, Hermans, Leibe, "Superpixels: An Evaluation of the State-of-the-Art", 2018.
    """
    if labels.shape != image.shape[:2] or labels.size == 0:
        raise UsageError(f"labels {labels.shape} do not fit the image {image.shape}")
    flat = labels.ravel()
    pixels = image.reshape(flat.size, -1).astype(np.float64)
    pixels -= pixels.mean(axis=0)
    total = float((pixels**2).sum())
    if total == 0:
        return 1.0
    size = np.bincount(flat)
    sums = np.stack([np.bincount(flat, weights=plane) for plane in pixels.T])  # (C, K)
    return float((sums**2 / np.maximum(size, 1)).sum() / total)
