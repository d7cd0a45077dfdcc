"""Trade veiled regions for smaller ones, where giving back alone gets no further."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Real

from counterveil.search.reduce import Accept, Cells, Reduced, reduce
from counterveil.search.trial import Sets

_CANDIDATES = 24
"""Most sets tried a round. Behind so many, 87 rounds on validation scenes had two that would do,
for 2 and 3 % of the area."""
_EFFORT = 48
"""Most sets tried a round, times the cells of the veil: to exchange one of many saves little."""
_ROUNDS = 3
"""On validation scenes more gained nothing."""


def exchange(
    veil: Reduced,
    areas: Real[np.ndarray, " cells"],
    importance: Float64[np.ndarray, " cells"],
    accept: Accept,
) -> Reduced:
    """Make an irreducible veil smaller by exchanging cells, as long as that helps.

    A veil with nothing to spare can still be far from the smallest: a large region ranked first
    hides what a small one would have hidden. Each round tries to put one smaller cell in the place
    of a veiled one, or of all of them, the most important newcomers first, in one batch. The
    acceptable set of the least area is reduced, and is where the next round starts.

    Args:
        veil: an acceptable veil.
        areas: of the cells.
        importance: of the cells; higher = tried earlier.
        accept: whether sets of cells are acceptable.

    Returns:
        A veil of no more area; irreducible where that was proven.

    References:
        Local search by 1-exchanges, as in k-medoids (Kaufman and Rousseeuw, 1990).
    """
    for _ in range(_ROUNDS):
        sets = _candidates(veil.cells, areas, importance)
        accepted = np.flatnonzero(accept(sets)) if len(sets) else np.zeros(0, int)
        if not len(accepted):
            break
        least = accepted[int((sets[accepted] @ areas).argmin())]
        veil = reduce(sets[least], -areas, accept)
    return veil


def _candidates(cells: Cells, areas: np.ndarray, importance: np.ndarray) -> Sets:
    """Sets of less area that differ by one newcomer, the most important newcomer first.

    Each newcomer is first tried alone and in the place of the largest; of the rest, later.
    """
    first, later = [], []
    newcomers = np.flatnonzero(~cells)
    for newcomer in newcomers[np.argsort(-importance[newcomers], kind="stable")]:
        alone = np.arange(len(cells)) == newcomer
        if cells.sum() > 1 and areas[newcomer] < areas[cells].sum():
            first.append(alone)
        larger = np.flatnonzero(cells & (areas > areas[newcomer]))
        largest = larger[np.argsort(-areas[larger], kind="stable")]
        swaps = [(cells | alone) & (np.arange(len(cells)) != gone) for gone in largest]
        first += swaps[:1]
        later += swaps[1:]
    most = min(_CANDIDATES, _EFFORT // max(1, int(cells.sum())))
    return np.array((first + later)[:most], bool).reshape(-1, len(cells))
