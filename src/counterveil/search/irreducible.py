"""Give back every veiled cell that the veil can do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Real

from counterveil.search.trial import Sets

Cells = Bool[np.ndarray, " cells"]
Accept = Callable[[Sets], Bool[np.ndarray, " batch"]]
"""Whether each set of cells keeps the image safe; fewer answers when the budget ends."""

_BULK = 16
"""Lengths of runs tried at once, before cells are tried one by one."""
_TOGETHER = 8
"""Lengths tried of a run of cells that can each go alone."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A veil with nothing to spare.

    Attributes:
        cells: which cells stay veiled.
        irreducible: proven, by trying each cell left, that none can be given back.
    """

    cells: Cells
    irreducible: bool


def reduce(cells: Cells, priority: Real[np.ndarray, " cells"], accept: Accept) -> Reduced:
    """Shrink a set of veiled cells until no single one can be given back.

    First, runs of cells from the front of ``priority`` are given back together, the longest of
    a few lengths that is acceptable. Then each pass tries to give back every cell alone, in one
    batch, and the longest of a few runs of those that can go alone goes at once, found in a
    second batch. Those of them that are left are tried next, and the others again only when
    none of these can go. A pass over all cells in which none can go is the proof. 1-minimality,
    as in delta debugging; monotonicity is not assumed.

    Args:
        cells: the veil to start from; it must be acceptable itself.
        priority: lower goes first.
        accept: whether sets of cells are acceptable.

    References:
        Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
    """
    cells = _in_bulk(cells.copy(), priority, accept)
    tried = cells
    while cells.any():
        every = bool((tried == cells).all())
        order = _ordered(tried, priority)
        verdicts = accept(_without_each(cells, order))
        free = order[: len(verdicts)][verdicts]
        if not len(free):
            if every or len(verdicts) < len(order):
                return Reduced(cells, irreducible=every and len(verdicts) == len(order))
            tried = cells
            continue
        gone = free[: _longest(cells, free, accept)]
        cells[gone] = False
        tried = np.isin(np.arange(len(cells)), free) & cells
        tried = tried if tried.any() else cells
    return Reduced(cells, irreducible=True)


def _longest(cells: Cells, free: np.ndarray, accept: Accept) -> int:
    """How many cells, each free to go alone, can go at once from the front; one at least."""
    lengths = np.unique(np.linspace(1, len(free), _TOGETHER).round().astype(int))[1:]
    if not len(lengths):
        return 1
    accepted = np.flatnonzero(accept(_without_prefixes(cells, free)[lengths - 1]))
    return int(lengths[accepted[-1]]) if len(accepted) else 1


def _in_bulk(cells: Cells, priority: np.ndarray, accept: Accept) -> Cells:
    """Give back the longest acceptable run, of a few lengths."""
    veiled = _ordered(cells, priority)
    if len(veiled) <= _BULK:
        return cells
    lengths = np.unique(np.linspace(1, len(veiled) - 1, _BULK).round().astype(int))
    runs = _without_prefixes(cells, veiled)[lengths - 1]
    accepted = np.flatnonzero(accept(runs))
    return runs[accepted[-1]] if len(accepted) else cells


def _ordered(cells: Cells, priority: np.ndarray) -> np.ndarray:
    veiled = np.flatnonzero(cells)
    return veiled[np.argsort(priority[veiled], kind="stable")]


def _without_each(cells: Cells, veiled: np.ndarray) -> Sets:
    sets = np.repeat(cells[None], len(veiled), axis=0)
    sets[np.arange(len(veiled)), veiled] = False
    return sets


def _without_prefixes(cells: Cells, order: np.ndarray) -> Sets:
    sets = np.repeat(cells[None], len(order), axis=0)
    for row, cell in enumerate(order):
        sets[row:, cell] = False
    return sets
