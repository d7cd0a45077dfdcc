"""Searches to compare with: other authors' published ones, and the exact optimum."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np
from jaxtyping import Int

from counterveil.search.evaluator import RegionSet

BATCH_SIZE = 16
"""Sets scored before a search looks at the scores, as in the paper's published code."""


def subsets(order: Int[np.ndarray, " n"], regions: int, max_size: int) -> Iterator[RegionSet]:
    """Nonempty subsets of some regions, smallest first, then as ``itertools.combinations``.

    Args:
        order: numbers of the regions.
        regions: number of regions in the whole partition.
        max_size: most regions in a subset.
    """
    sizes = range(1, min(max_size, len(order)) + 1)
    for members in chain.from_iterable(combinations(order, size) for size in sizes):
        subset = np.zeros(regions, bool)
        subset[list(members)] = True
        yield subset
