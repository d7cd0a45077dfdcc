"""How good a partition is: against the image alone, and against a true segmentation.

References:
    Stutz, Hermans and Leibe, "Superpixels: An Evaluation of the State-of-the-Art", 2018, whose
    definitions these are.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Int, Int64, Real
from numpy import ndarray

from counterveil.errors import UsageError

Partition = Int[ndarray, "height width"]


def explained_variation(image: Real[ndarray, "rows columns channels"], labels: Partition) -> float:
    """Share of the colours' variance that the regions' mean colours account for, 0 to 1.

    Higher is better. An image of one colour is explained in full.

    Args:
        image: ``(H, W, C)``, any colour space and number type.
        labels: ``(H, W)``, never negative.
    """
    _fit(labels, image[..., 0])
    flat = labels.ravel()
    pixels = image.reshape(flat.size, -1).astype(np.float64)
    pixels -= pixels.mean(axis=0)
    total = float((pixels**2).sum())
    if total == 0:
        return 1.0
    size = np.bincount(flat)
    sums = np.stack([np.bincount(flat, weights=plane) for plane in pixels.T])  # (C, K)
    return float((sums**2 / np.maximum(size, 1)).sum() / total)


def boundary_recall(labels: Partition, truth: Partition, *, radius: int | None = None) -> float:
    """Share of the true boundary that has one of the partition within reach, 0 to 1.

    Higher is better. A truth without boundaries is recalled in full.

    Args:
        labels: ``(H, W)``.
        truth: ``(H, W)``, the true regions.
        radius: reach in pixels, in rows and columns; 0.0025 of the diagonal by default.
    """
    _fit(labels, truth)
    reach = round(0.0025 * math.hypot(*labels.shape)) if radius is None else radius
    true = _boundary(truth)
    if not true.any():
        return 1.0
    return float(_dilated(_boundary(labels), reach)[true].mean())


def undersegmentation_error(labels: Partition, truth: Partition) -> float:
    """Share of the image by which regions leak across true boundaries; lower is better.

    Neubert and Protzel's: for each true and found region that meet, the smaller of what of the
    found one lies inside and outside.

    Args:
        labels: ``(H, W)``, never negative.
        truth: ``(H, W)``, never negative.
    """
    shared = _shared(labels, truth)
    outside = shared.sum(axis=0) - shared
    return float(np.minimum(shared, outside).sum() / labels.size)


def achievable_accuracy(labels: Partition, truth: Partition) -> float:
    """Share of pixels right if each region took its best true label (ASA); higher is better.

    Args:
        labels: ``(H, W)``, never negative.
        truth: ``(H, W)``, never negative.
    """
    return float(_shared(labels, truth).max(axis=0).sum() / labels.size)


def compactness(labels: Partition) -> float:
    """How round regions are: 1 for circles, less for the ragged; weighed by their areas.

    ``sum of |S| / N * 4 pi |S| / P(S)^2``, the perimeter counted in pixel edges, the image's
    frame included, so that a square scores pi / 4.

    Args:
        labels: ``(H, W)``, never negative.
    """
    framed = np.pad(labels, 1, constant_values=-1)
    inner = framed[1:-1, 1:-1]
    edges = np.zeros(labels.shape, dtype=np.int64)
    for other in (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]):
        edges += inner != other
    flat = labels.ravel()
    perimeter = np.bincount(flat, weights=edges.ravel())
    area = np.bincount(flat)
    round_ = 4 * math.pi * area / np.maximum(perimeter, 1) ** 2
    return float((area * round_).sum() / flat.size)


def _shared(labels: Partition, truth: Partition) -> Int64[ndarray, "true found"]:
    """How many pixels each true and each found region have in common."""
    _fit(labels, truth)
    found, true = int(labels.max()) + 1, int(truth.max()) + 1
    pair = truth.ravel().astype(np.int64) * found + labels.ravel()
    return np.asarray(np.bincount(pair, minlength=found * true).reshape(true, found))


def _boundary(labels: Partition) -> Bool[ndarray, "height width"]:
    """Pixels with another label beside or below them."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def _dilated(mask: Bool[ndarray, "height width"], reach: int) -> Bool[ndarray, "height width"]:
    """The mask grown by so many rows and columns."""
    for axis in (0, 1):
        length = mask.shape[axis]
        padded = np.pad(mask, [(reach, reach) if k == axis else (0, 0) for k in (0, 1)])
        shifts = [padded.take(range(s, s + length), axis=axis) for s in range(2 * reach + 1)]
        mask = np.logical_or.reduce(shifts)
    return mask


def _fit(labels: Partition, other: Real[ndarray, "rows columns"]) -> None:
    if labels.shape != other.shape or labels.size == 0:
        raise UsageError(f"shapes must agree and hold a pixel: {labels.shape}, {other.shape}")
