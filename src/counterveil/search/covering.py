"""Covering arrays over keep and mask: few tests that hold every combination of t regions."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Int8

Tests = Bool[np.ndarray, "tests regions"]
"""Which regions each test masks."""

_OPEN = -1
"""A value that no combination has asked for yet."""


@lru_cache(maxsize=64)
def covering_array(regions: int, strength: int) -> Tests:
    """Tests in which any ``strength`` regions are kept and masked in every combination.

    In-parameter-order: all combinations of the first regions, then one region after another; each
    row takes the value that covers more of what is new (horizontal growth), and what is left goes
    where it fits, or into new rows (vertical growth). Values that do not matter are kept ones.
    It is deterministic, and the array is read-only.

    Args:
        regions: at least ``strength``.
        strength: t, at least 1.

    References:
        Lei et al., "IPOG: A General Strategy for T-Way Software Testing", 2007, which the
        authors of BEN generate their tests with.
    """
    assert 1 <= strength <= regions, (regions, strength)
    codes = np.arange(2**strength)
    rows = ((codes[:, None] >> np.arange(strength)) & 1).astype(np.int8)
    for column in range(strength, regions):
        rows = _with(rows, column, strength)
    tests: Tests = rows == 1
    tests.flags.writeable = False
    return tests


def _with(rows: Int8[np.ndarray, "n k"], column: int, strength: int) -> Int8[np.ndarray, "m l"]:
    """One region more."""
    rows = np.concatenate([rows, np.full((len(rows), 1), _OPEN, np.int8)], axis=1)
    others = np.array(list(combinations(range(column), strength - 1)), int)
    others = others.reshape(comb(column, strength - 1), strength - 1)  # whom the new one meets
    powers = 2 ** np.arange(strength - 1)
    missing = np.ones((len(others), 2 ** (strength - 1), 2), bool)
    for row in rows:
        values = row[others]
        whole = np.flatnonzero((values != _OPEN).all(axis=1))
        codes = values[whole] @ powers
        gains = missing[whole, codes].sum(axis=0)  # of keeping, of masking
        if gains.any():
            row[column] = int(gains.argmax())
            missing[whole, codes, row[column]] = False
    for group, code, value in np.argwhere(missing):
        bits = (code >> np.arange(strength - 1)) & 1
        rows = _place(rows, np.append(others[group], column), np.append(bits, value))
    return rows


def _place(rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows that hold a combination: where it is, where it fits, or in a new row."""
    there = rows[:, columns]
    fits = ((there == values) | (there == _OPEN)).all(axis=1)
    if (fits & (there == values).all(axis=1)).any():
        return rows
    if not fits.any():
        rows = np.concatenate([rows, np.full((1, rows.shape[1]), _OPEN, np.int8)])
        fits = np.append(fits, True)
    rows[int(fits.argmax()), columns] = values
    return rows
