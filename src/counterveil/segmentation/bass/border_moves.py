"""Border moves of BASS: each pixel on a border takes the label that scores best.

The score of label k is ``- J |c - mu_c|^2 - d' Sigma^-1 d - log |Sigma| - potts * #{8-neighbours
with another label}``. Only simple points move, so no move splits, removes or pierces a region.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from numpy import ndarray

from counterveil.segmentation.bass.initialisation import Features
from counterveil.segmentation.bass.model import Parameters, Statistics, cached_njit
from counterveil.types import Labels

PaddedLabels = Int32[ndarray, "height+2 width+2"]
"""Labels inside a frame of -1, one pixel wide."""

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Offsets (row, column) of the eight neighbours; neighbour i is bit i of a pattern."""

# Offsets into the padded labels of the eight neighbours and of the pixel itself.
_ROWS = (0, 0, 0, 1, 1, 2, 2, 2, 1)
_COLUMNS = (0, 1, 2, 0, 2, 0, 1, 2, 1)
_SELF = 8
_CANDIDATES = (_SELF, 1, 6, 3, 4)  # the pixel's own label first: it stays if scores are equal


def is_simple(same: Bool[ndarray, " 8"]) -> bool:
    """Whether a pixel can gain or lose a label without a change of topology (simple point).

    It can if the neighbours with that label form one 4-connected component that touches one of
    the four nearest neighbours, and the neighbours without it do so too. ``same`` tells for each
    of ``NEIGHBOURS`` whether it has the label.
    """
    # Around the pixel, 4-neighbours are successive: one component each means two changes.
    ring, nearest = same[[0, 1, 2, 4, 7, 6, 5, 3]], same[[1, 3, 4, 6]]
    changes = int((ring != np.roll(ring, 1)).sum())
    return changes == 2 and bool(nearest.any()) and not nearest.all()


_BITS = (np.arange(256)[:, None] >> np.arange(8)) & 1
SIMPLE = np.array([is_simple(row.astype(bool)) for row in _BITS])
"""``is_simple`` of each of the 256 patterns; 48 are simple."""


@cached_njit
def _add_pixel(
    statistics: Statistics, label: int, sign: float, x: int, y: int, features: Features
) -> None:
    """Adds a pixel to a region's statistics (sign 1), or subtracts it (sign -1)."""
    statistics[label, 0] += sign
    statistics[label, 1] += sign * x
    statistics[label, 2] += sign * y
    statistics[label, 3] += sign * x * x
    statistics[label, 4] += sign * x * y
    statistics[label, 5] += sign * y * y
    for c in range(3):
        value = np.float64(features[y, x, c])
        statistics[label, 6 + c] += sign * value
        statistics[label, 9 + c] += sign * value * value
    statistics[label, 12] += sign * features[y, x, 3]


# Here rather than in `model`: a kernel may only call kernels of its own file, see `jit`.
@cached_njit
def sufficient_statistics(labels: Labels, features: Features, count: int) -> Statistics:
    """Sums over the pixels of each of ``count`` regions, ``(count, 13)``."""
    statistics = np.zeros((count, 13))
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            _add_pixel(statistics, labels[y, x], 1.0, x, y, features)
    return statistics


@cached_njit
def _log_likelihood(
    parameters: Parameters, label: int, x: int, y: int, features: Features, scale: float
) -> Any:
    """Twice the log likelihood of a pixel under a region's Gaussian, without constants."""
    dx, dy = np.float32(x) - parameters[label, 3], np.float32(y) - parameters[label, 4]
    score: Any = -parameters[label, 8]
    score -= dx * (parameters[label, 5] * dx + parameters[label, 6] * dy)
    score -= parameters[label, 7] * dy * dy
    for c in range(3):
        difference = features[y, x, c] * scale - parameters[label, c]
        score -= difference * difference
    return score


@cached_njit
def _best_label(
    patch: Int32[ndarray, " 9"],
    x: int,
    y: int,
    features: Features,
    parameters: Parameters,
    scale: float,
    potts: float,
) -> int:
    """The label with the best score, or the pixel's own label if it is not a simple point."""
    own = int(patch[_SELF])
    best, best_score = own, np.float32(-np.inf)
    for candidate in _CANDIDATES:
        label = int(patch[candidate])
        # Written out, since numba compiles it to faster code than `label in (own, best)`.
        if label < 0 or (candidate != _SELF and (label == own or label == best)):  # noqa: SIM109
            continue
        pattern, same = 0, 0
        for i in range(8):
            if patch[i] == label:
                pattern |= 1 << i
                same += 1
        # One candidate for which the pixel is not simple is enough to hold it in place.
        if not SIMPLE[pattern]:
            return own
        score = _log_likelihood(parameters, label, x, y, features, scale)
        score -= potts * np.float32(8 - same)
        if score > best_score:
            best, best_score = label, score
    return best


@cached_njit
def sweep(
    padded: PaddedLabels,
    features: Features,
    parameters: Parameters,
    statistics: Statistics,
    sqrt_precision: float,
    potts: float,
    active: UInt8[ndarray, "height+2 width+2"],
) -> int:
    """Moves border pixels between regions once and returns the number of moves.

    ``padded`` and ``statistics`` are updated in place; ``parameters`` stay fixed. The frame of -1
    belongs to no region, so the outermost pixels of the image move too. Pixels whose ``active``
    is 0 are skipped; it is updated in place for the next sweep with the same parameters.
    """
    height, width = features.shape[0], features.shape[1]
    # Single precision throughout; a Python float would turn every product into double precision.
    scale: Any = np.float32(sqrt_precision)
    beta: Any = np.float32(potts)
    patch = np.empty(9, dtype=np.int32)
    moves = 0
    # Pixels of one parity class are not neighbours, so their order does not matter.
    for parity in range(4):
        for y in range(parity // 2, height, 2):
            for x in range(parity % 2, width, 2):
                if active[y + 1, x + 1] == 0:
                    continue
                # A pixel's decision depends on its neighbours alone while the parameters are
                # fixed, so it need not be made again until one of them moves.
                active[y + 1, x + 1] = 0
                own = padded[y + 1, x + 1]
                if (
                    own == padded[y, x + 1]
                    and own == padded[y + 2, x + 1]
                    and own == padded[y + 1, x]
                    and own == padded[y + 1, x + 2]
                ):
                    continue
                for i in range(9):
                    patch[i] = padded[y + _ROWS[i], x + _COLUMNS[i]]
                best = _best_label(patch, x, y, features, parameters, scale, beta)
                if best != own:
                    padded[y + 1, x + 1] = best
                    for i in range(8):
                        active[y + _ROWS[i], x + _COLUMNS[i]] = 1
                    _add_pixel(statistics, own, -1.0, x, y, features)
                    _add_pixel(statistics, best, 1.0, x, y, features)
                    moves += 1
    return moves
