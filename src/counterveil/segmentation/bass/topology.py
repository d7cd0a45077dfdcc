"""Which pixels may change sides without tearing, joining or piercing a region."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Offsets (row, column) of the eight neighbours; their order is that of a pattern's bits."""


def is_simple(same: Bool[ndarray, " 8"]) -> bool:
    """Whether a pixel may join or leave a region without changing any region's topology.

    True when those of its eight neighbours that carry the region's label form one 4-connected
    piece that touches one of the four nearest, and so do those that do not.

    Args:
        same: for each of ``NEIGHBOURS``, whether it carries the label.
    """
    inside = {offset for offset, flag in zip(NEIGHBOURS, same, strict=True) if flag}
    return _one_piece(inside) and _one_piece(set(NEIGHBOURS) - inside)


def _one_piece(cells: set[tuple[int, int]]) -> bool:
    near = {(row, column) for row, column in cells if row == 0 or column == 0}
    if not near:
        return False
    reached: set[tuple[int, int]] = set()
    frontier = [next(iter(near))]
    while frontier:
        row, column = frontier.pop()
        if (row, column) in cells - reached:
            reached.add((row, column))
            frontier += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return reached == cells


def simple_patterns() -> Bool[ndarray, " 256"]:
    """``is_simple`` of every pattern, bit i standing for ``NEIGHBOURS[i]``."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return np.array([is_simple(row.astype(bool)) for row in bits])


SIMPLE = simple_patterns()
