"""One pass over the pixels between regions: each goes where it fits best."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.bass.statistics import Parameters, Sums

Planes = Float32[ndarray, "height width 4"]

# A pixel's eight neighbours in a padded image, in the order of `topology.NEIGHBOURS`, and itself.
_ROWS = (0, 0, 0, 1, 1, 2, 2, 2, 1)
_COLUMNS = (0, 1, 2, 0, 2, 0, 1, 2, 1)
_CANDIDATES = (8, 1, 6, 3, 4)  # itself first, so that it stays where scores are equal


@compiled
def _transfer(sums: Sums, row: int, sign: float, x: int, y: int, planes: Planes) -> None:
    """Adds a pixel to a region's sums, or takes it away."""
    sums[row, 0] += sign
    sums[row, 1] += sign * x
    sums[row, 2] += sign * y
    sums[row, 3] += sign * x * x
    sums[row, 4] += sign * x * y
    sums[row, 5] += sign * y * y
    for c in range(3):
        value = np.float64(planes[y, x, c])
        sums[row, 6 + c] += sign * value
        sums[row, 9 + c] += sign * value * value
    sums[row, 12] += sign * planes[y, x, 3]


@compiled
def _fit(parameters: Parameters, row: int, x: int, y: int, planes: Planes, root: float) -> Any:
    """Log likelihood of a pixel under a region's Gaussian, doubled, constants left out."""
    dx, dy = np.float32(x) - parameters[row, 3], np.float32(y) - parameters[row, 4]
    score: Any = -parameters[row, 8] - dx * (parameters[row, 5] * dx + parameters[row, 6] * dy)
    score -= parameters[row, 7] * dy * dy
    for c in range(3):
        gap = planes[y, x, c] * root - parameters[row, c]
        score -= gap * gap
    return score


@compiled
def _best(
    around: Int32[ndarray, " 9"],
    x: int,
    y: int,
    planes: Planes,
    parameters: Parameters,
    simple: Bool[ndarray, " 256"],
    root: float,
    potts: float,
) -> int:
    """The region that a pixel belongs to best, or its own where it may not move."""
    own = int(around[8])
    best, best_score = own, np.float32(-np.inf)
    for turn in _CANDIDATES:
        label = int(around[turn])
        if label < 0 or (turn != 8 and (label == own or label == best)):  # noqa: SIM109  # faster
            continue
        pattern, same = 0, 0
        for i in range(8):
            if around[i] == label:
                pattern |= 1 << i
                same += 1
        if not simple[pattern]:
            return own
        score = _fit(parameters, label, x, y, planes, root) - potts * np.float32(8 - same)
        if score > best_score:
            best, best_score = label, score
    return best


@compiled
def sweep(
    padded: Int32[ndarray, "height+2 width+2"],
    planes: Float32[ndarray, "height width 4"],
    parameters: Parameters,
    sums: Sums,
    simple: Bool[ndarray, " 256"],
    weight: float,
    potts: float,
    due: UInt8[ndarray, "height+2 width+2"],
) -> int:
    """Moves pixels between regions, one parity class after the other; returns how many moved.

    A pixel's score for a region is ``-J |c - mu_c|^2 - d' Sigma^-1 d - log |Sigma| - potts *
    (8-neighbours in other regions)``. Only pixels that are simple for every region touching
    them may move, so no region is torn, emptied or pierced. ``parameters`` are held; ``padded``
    and ``sums`` are updated in place. The frame of -1 around the labels counts as a neighbour
    in no region, so that the image's outermost pixels take part.

    Args:
        padded: labels within a frame, one pixel wide, of -1.
        planes: CIELAB / 100 and importance.
        parameters: as `statistics.gaussians` makes them.
        sums: as `statistics.sum_up` makes them.
        simple: as `topology.SIMPLE`.
        weight: root of a colour channel's precision.
        potts: weight of smooth borders, per neighbour.
        due: within a frame as well; pixels where it is 0 are passed over. Updated in place: a
            pixel that was looked at is due again once one around it has moved. Whoever holds
            the parameters may hand it on to the next sweep, which then skips in vain looks only.
    """
    height, width = planes.shape[0], planes.shape[1]
    # Single precision throughout, or each product would be made in double.
    root: Any = np.float32(weight)
    beta: Any = np.float32(potts)
    around = np.empty(9, dtype=np.int32)
    moved = 0
    for parity in range(4):
        for y in range(parity // 2, height, 2):
            for x in range(parity % 2, width, 2):
                if due[y + 1, x + 1] == 0:
                    continue
                due[y + 1, x + 1] = 0
                own = padded[y + 1, x + 1]
                if (
                    own == padded[y, x + 1]
                    and own == padded[y + 2, x + 1]
                    and own == padded[y + 1, x]
                    and own == padded[y + 1, x + 2]
                ):
                    continue
                for i in range(9):
                    around[i] = padded[y + _ROWS[i], x + _COLUMNS[i]]
                best = _best(around, x, y, planes, parameters, simple, root, beta)
                if best != own:
                    padded[y + 1, x + 1] = best
                    for i in range(8):
                        due[y + _ROWS[i], x + _COLUMNS[i]] = 1
                    _transfer(sums, own, -1.0, x, y, planes)
                    _transfer(sums, best, 1.0, x, y, planes)
                    moved += 1
    return moved
