"""Score functions whose minimal sets are known, for tests of searches."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from counterveil.types import Images, Labels, Scores

VISIBLE = 200  # value of every pixel of a test image; masked pixels are black


def grid(rows: int, columns: int, side: int = 4) -> Labels:
    """A partition into squares."""
    cells = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    return np.kron(cells, np.ones((side, side), np.int32)).astype(np.int32)


def picture(labels: Labels) -> np.ndarray:
    return np.full((*labels.shape, 3), VISIBLE, np.uint8)


def veiled_regions(images: Images, labels: Labels) -> np.ndarray:
    """Share of each region that is black, (B, K)."""
    black = (images == 0).all(axis=-1)
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count)
    return np.stack([np.bincount(labels[b], minlength=count) / areas for b in black])


def needs_all(
    labels: Labels, regions: Collection[int], low: float = 0.0
) -> Callable[[Images], Scores]:
    """The largest visible share of any of some regions."""

    def score(images: Images) -> Scores:
        visible = 1 - veiled_regions(images, labels)[:, list(regions)]
        return low + (1 - low) * visible.max(axis=1)

    return score


def needs_any(labels: Labels, sets: Collection[Collection[int]]) -> Callable[[Images], Scores]:
    """0 as soon as all regions of one of several sets are veiled."""

    def score(images: Images) -> Scores:
        visible = 1 - veiled_regions(images, labels)
        return np.min([visible[:, list(chosen)].max(axis=1) for chosen in sets], axis=0)

    return score


def bands(widths: Collection[int]) -> Labels:
    """A partition into vertical bands of the given widths."""
    row = np.repeat(np.arange(len(widths), dtype=np.int32), list(widths))
    return np.repeat(row[None], 2, axis=0)


def table(labels: Labels, values: np.ndarray) -> Callable[[Images], Scores]:
    """Any score function: ``values[code]``; bit r of the code is set where region r is veiled."""
    powers = 2 ** np.arange(int(labels.max()) + 1)

    def score(images: Images) -> Scores:
        return values[(veiled_regions(images, labels) == 1) @ powers]

    return score


class Counting:
    """A score function that counts its calls and images."""

    def __init__(self, score: Callable[[Images], Scores]) -> None:
        self._score = score
        self.calls = 0
        self.images = 0

    def __call__(self, images: Images) -> Scores:
        self.calls += 1
        self.images += len(images)
        return self._score(images)
