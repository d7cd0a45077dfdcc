"""Pixels guessed from their neighbours, so that hiding them adds no shape of its own."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from counterveil.types import Image, Mask

NEIGHBOURS = {
    (row, column): 1 / 6 if 0 in (row, column) else 1 / 12
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if (row, column) != (0, 0)
}
"""Weights of the eight neighbours."""
NOISE = 0.01
"""Standard deviation, as a part of the range of values."""


def impute(image: Image, hidden: Mask, *, rng: np.random.Generator, noise: float = NOISE) -> Image:
    """Noisy linear imputation: a hidden pixel is the weighted mean of its neighbours, plus noise.

    All hidden pixels at once, by one sparse system. Neighbours beyond the image do not count.

    Args:
        image: ``(H, W, 3)``.
        hidden: pixels to guess; not all of them.
        rng: of the noise.
        noise: its standard deviation; 1 is the whole range of values.

    References:
        Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
        ICML 2022, section 5. Written by the article, and tested against the authors' code.
    """
    if not hidden.any():
        return image.copy()
    system, known = _system(image.astype(np.float64), hidden)
    # The system is symmetric and positive definite: no pivots are needed.
    factors = splu(
        system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    guessed = factors.solve(known) + rng.normal(0, noise * 255, known.shape)
    filled = image.copy()
    filled[hidden] = guessed.round().clip(0, 255).astype(np.uint8)
    return filled


def _system(image: np.ndarray, hidden: Mask) -> tuple[csc_matrix, np.ndarray]:
    """``sum of weights * pixel - weights * hidden neighbours = weights * known neighbours``."""
    count, channels = int(hidden.sum()), image.shape[-1]
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(count)
    number = np.pad(number, 1, constant_values=-2)  # -1 is known, -2 beyond the image
    values = np.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    own, stride = np.flatnonzero(number >= 0), hidden.shape[1] + 2
    diagonal, known = np.zeros(count), np.zeros((count, channels))
    parts = []
    for (row, column), weight in NEIGHBOURS.items():
        beside = own + row * stride + column
        which = number.ravel()[beside]
        diagonal += weight * (which != -2)
        known += weight * np.where((which == -1)[:, None], values[beside], 0)
        rows = np.flatnonzero(which >= 0)
        parts.append((rows, which[rows], np.full(len(rows), -weight)))
    parts.append((np.arange(count), np.arange(count), diagonal))
    rows, columns, entries = (np.concatenate(some) for some in zip(*parts, strict=True))
    return coo_matrix((entries, (rows, columns)), shape=(count, count)).tocsc(), known
