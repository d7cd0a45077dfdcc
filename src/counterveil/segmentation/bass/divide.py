"""Splits: a region is cut between two seeds beside its centre."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.bass.statistics import Sums
from counterveil.types import Labels


def halves(labels: Labels, sums: Sums, *, upright: bool) -> UInt8[ndarray, "height width"]:
    """Which half of its region each pixel falls to, 1 or 2.

    Two seeds lie beside the region's centre of mass, one pixel left and right of it or, when
    ``upright``, two above and below; a seed outside the region moves to the region's nearest
    pixel. A pixel goes to the seed nearer by 4-connected steps inside the region, so both
    halves are connected. A region in which the seeds coincide is all 1.

    Args:
        labels: ``(H, W)``, each label 4-connected.
        sums: of the labels.
        upright: cut across y instead of x.
    """
    centre = (sums[:, 1:3] / sums[:, :1]).astype(np.int64)  # (K, 2): x, y
    step = np.array([0, 2]) if upright else np.array([1, 0])
    seeds = _nearest_inside(labels, np.concatenate([centre - step, centre + step], axis=1))
    return _nearer_seed(labels, seeds)


@compiled
def _nearest_inside(
    labels: Labels, wanted: Int64[ndarray, "regions 4"]
) -> Int64[ndarray, "regions 2"]:
    """Flat index of the pixel of each region nearest to each wanted (x, y)."""
    width = labels.shape[1]
    away = np.full((wanted.shape[0], 2), np.iinfo(np.int64).max)
    found = np.zeros((wanted.shape[0], 2), dtype=np.int64)
    for y in range(labels.shape[0]):
        for x in range(width):
            label = labels[y, x]
            for i in range(2):
                dx, dy = x - wanted[label, 2 * i], y - wanted[label, 2 * i + 1]
                distance = dx * dx + dy * dy
                if distance < away[label, i]:
                    away[label, i] = distance
                    found[label, i] = y * width + x
    return found


@compiled
def _nearer_seed(
    labels: Labels, seeds: Int64[ndarray, "regions 2"]
) -> UInt8[ndarray, "height width"]:
    """Breadth-first from all seeds at once, never leaving a region."""
    height, width = labels.shape
    flat = labels.ravel()
    half = np.zeros(height * width, dtype=np.uint8)
    queue = np.empty(height * width, dtype=np.int64)
    end = 0
    for i in range(2):
        for k in range(seeds.shape[0]):
            seed = seeds[k, i]
            if half[seed] == 0:
                half[seed] = i + 1
                queue[end] = seed
                end += 1
    start = 0
    while start < end:
        here = queue[start]
        start += 1
        x = here % width
        for turn in range(4):
            if turn == 0:
                ok, there = here >= width, here - width
            elif turn == 1:
                ok, there = here + width < flat.size, here + width
            elif turn == 2:
                ok, there = x > 0, here - 1
            else:
                ok, there = x < width - 1, here + 1
            if ok and half[there] == 0 and flat[there] == flat[here]:
                half[there] = half[here]
                queue[end] = there
                end += 1
    return half.reshape(height, width)
