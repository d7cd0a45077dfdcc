"""Makes any labelling a partition into connected regions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Int64
from numpy import ndarray

from counterveil.errors import UsageError
from counterveil.types import Labels


def connect(
    labels: Int[ndarray, "height width"],
    *,
    minimum: int = 1,
    image: Float[ndarray, "height width channels"] | None = None,
) -> Labels:
    """Gives every 4-connected component its own label, ``0 .. K-1`` in reading order.

    Args:
        labels: ``(H, W)``, any integers.
        minimum: components with fewer pixels are absorbed by a neighbour: the one that shares
            the longest border or, where ``image`` is given, the one nearest in mean colour.
        image: ``(H, W, C)``, any colour space.

    Raises:
        UsageError: ``labels`` is not a plane with at least one pixel.
    """
    from skimage.measure import label  # here, since importing it costs a tenth of a second

    if labels.ndim != 2 or labels.size == 0:
        raise UsageError(f"labels must be (H, W) with at least one pixel, got {labels.shape}")
    parts = label(labels, background=int(labels.min()) - 1, connectivity=1) - 1
    if minimum > 1:
        parts = _absorb(parts, minimum, image)
    return dense(parts)


def dense(labels: Int[ndarray, "height width"]) -> Labels:
    """Renames non-negative labels to ``0 .. K-1``, by first appearance in reading order."""
    flat = labels.ravel()
    first = np.full(int(flat.max()) + 1, flat.size, dtype=np.int64)
    step = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    np.minimum.at(first, flat[step], step)
    present = np.flatnonzero(first < flat.size)
    names = np.zeros(first.size, dtype=np.int32)
    names[present[np.argsort(first[present])]] = np.arange(present.size, dtype=np.int32)
    return np.asarray(names[labels])


def borders(labels: Int[ndarray, "height width"]) -> Int64[ndarray, "pairs 3"]:
    """Which labels touch: rows of (label, label, shared edges), each pair in both orders."""
    count = int(labels.max()) + 1
    keys = []
    for here, there in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        cross = here != there
        a, b = here[cross].astype(np.int64), there[cross].astype(np.int64)
        keys += [a * count + b, b * count + a]
    pairs, lengths = np.unique(np.concatenate(keys), return_counts=True)
    return np.stack([pairs // count, pairs % count, lengths], axis=1)


def _absorb(
    parts: Int[ndarray, "height width"],
    minimum: int,
    image: Float[ndarray, "height width channels"] | None,
) -> Int[ndarray, "height width"]:
    """Joins specks to neighbours, smallest first, until none is left or one region is."""
    while True:
        sizes = np.bincount(parts.ravel())
        if sizes.size == 1 or sizes.min() >= minimum:
            return parts
        edges = borders(parts)
        choice = _nearest(parts, edges, image)
        target = np.arange(sizes.size)
        for speck in np.argsort(sizes, kind="stable"):
            if sizes[speck] >= minimum:
                break
            # A chain of specks is followed to its end, so that none joins itself.
            end = _follow(target, int(choice[speck]))
            if end != speck:
                target[speck] = end
        ends = np.array([_follow(target, k) for k in range(sizes.size)])
        parts = dense(ends[parts])


def _follow(target: Int64[ndarray, " regions"], start: int) -> int:
    while target[start] != start:
        start = int(target[start])
    return start


def _nearest(
    parts: Int[ndarray, "height width"],
    edges: Int64[ndarray, "pairs 3"],
    image: Float[ndarray, "height width channels"] | None,
) -> Int64[ndarray, " regions"]:
    """For each region the neighbour that would take it in."""
    cost = -edges[:, 2].astype(np.float64)
    if image is not None:
        flat, sizes = parts.ravel(), np.bincount(parts.ravel())
        planes = image.reshape(flat.size, -1).T
        mean = np.stack([np.bincount(flat, weights=plane) / sizes for plane in planes], axis=1)
        cost = ((mean[edges[:, 0]] - mean[edges[:, 1]]) ** 2).sum(axis=1)
    order = np.lexsort((edges[:, 1], cost, edges[:, 0]))
    first = np.unique(edges[order, 0], return_index=True)[1]
    return np.asarray(edges[order[first], 1])
