"""Metrics of masks and partitions against a ground truth.

References:
    Stutz, Hermans and Leibe, "Superpixels: An Evaluation of the State-of-the-Art", 2018, for the
    definitions of the partitions' metrics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Real
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.types import Mask

Partition = Int[ndarray, "height width"]


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


def explained_variation(image: Real[ndarray, "rows columns channels"], labels: Partition) -> float:
    """Share of the colour variance that the regions' mean colours explain, 0 to 1 (best).

    An image of one colour is explained in full.

    Args:
        image: ``(H, W, C)``, any colour space and number type.
        labels: ``(H, W)``, from 0.
    """
    _check_shapes(labels, image[..., 0])
    flat = labels.ravel()
    pixels = image.reshape(flat.size, -1).astype(np.float64)
    pixels -= pixels.mean(axis=0)
    total = float((pixels**2).sum())
    if total == 0:
        return 1.0
    size = np.bincount(flat)
    sums = np.stack([np.bincount(flat, weights=plane) for plane in pixels.T])  # (C, K)
    return float((sums**2 / np.maximum(size, 1)).sum() / total)


def boundary_recall(
    labels: Partition, truth: Int[ndarray, "rows columns"], *, radius: int | None = None
) -> float:
    """Share of the true boundary that lies near a boundary of the partition, 0 to 1 (best).

    A ground truth without boundaries is recalled in full.

    Args:
        labels: ``(H, W)``.
        truth: ``(H, W)``, the true regions.
        radius: tolerance in rows and columns, pixels; 0.0025 of the diagonal by default.
    """
    _check_shapes(labels, truth)
    tolerance = round(0.0025 * math.hypot(*labels.shape)) if radius is None else radius
    true_boundary = _boundary(truth)
    if not true_boundary.any():
        return 1.0
    return float(_dilate(_boundary(labels), tolerance)[true_boundary].mean())


def _boundary(labels: Partition) -> Bool[ndarray, "height width"]:
    """Pixels whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def _dilate(mask: Bool[ndarray, "height width"], radius: int) -> Bool[ndarray, "height width"]:
    """The mask dilated by a square of side ``2 * radius + 1``."""
    for axis in (0, 1):
        length = mask.shape[axis]
        padded = np.pad(mask, [(radius, radius) if k == axis else (0, 0) for k in (0, 1)])
        shifts = [padded.take(range(s, s + length), axis=axis) for s in range(2 * radius + 1)]
        mask = np.logical_or.reduce(shifts)
    return mask


def _check_shapes(labels: Partition, other: Real[ndarray, "rows columns"]) -> None:
    if labels.shape != other.shape or labels.size == 0:
        raise UsageError(
            f"shapes must agree and have at least one pixel, got {labels.shape} and {other.shape}"
        )
