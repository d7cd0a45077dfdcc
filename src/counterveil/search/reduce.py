"""Local search from a set of veiled cells that is acceptable: remove cells, exchange cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Real

from counterveil.search.evaluator import RegionSet, RegionSets

Order = Int[np.ndarray, " n"]  # numbers of cells, the first to remove first

Accept = Callable[[RegionSets], Bool[np.ndarray, " tested"]]
"""Whether each set of veiled cells is acceptable; fewer answers when the budget ends."""

# Limits of the exchanges, from validation scenes. Of 87 rounds, two had an acceptable exchange
# behind the first 24, which saved 2 and 3 % of the area; a fourth round gained nothing.
_MAX_CANDIDATES = 24  # exchanges tried in a round
_MAX_EFFORT = 48  # the same, times the veiled cells: exchanging one of many saves little
_MAX_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class ReducedSet:
    """An acceptable set of veiled cells.

    Attributes:
        cells: ``True`` where a cell is veiled.
        irreducible: each veiled cell was tried, and none can be removed alone.
    """

    cells: RegionSet
    irreducible: bool


def reduce(cells: RegionSet, priority: Real[np.ndarray, " cells"], accept: Accept) -> ReducedSet:
    """Remove veiled cells until no single one can be removed.

    Generalised binary splitting: runs of cells are removed together, in the order of
    ``priority``. The length of a run doubles after each success. Of a run that cannot be
    removed, the first half is tried, and so on, until one needed cell is found; the next run
    has one cell again. The remaining cells are then tried one by one, which proves the result
    1-minimal even where more veil is not always safer.

    With k of n cells left, about k log2(n / k) sets are tried. They are tried one after
    another, since a batch would score more images, and those are the cost of a search.

    Args:
        cells: an acceptable set.
        priority: the cell with the lowest value is removed first.
        accept: whether sets of cells are acceptable.

    References:
        Hwang, "A method for detecting all defective members in a population by group testing",
        JASA 1972. Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
        IEEE TSE 2002 (1-minimality).
    """
    reduction = _Reduction(cells.copy(), accept)
    order = _by_priority(cells, priority)
    while True:
        reduction.remove_runs(order)
        removable = reduction.removable(priority)
        if not len(removable):
            return ReducedSet(reduction.cells, irreducible=not reduction.budget_ended)
        # Removing one may make another needed, so only the first goes without a new test.
        reduction.remove(removable[:1])
        order = removable[1:]


class _Reduction:
    """The cells that are still veiled, and whether the budget ended."""

    def __init__(self, cells: RegionSet, accept: Accept) -> None:
        self.cells = cells
        self.budget_ended = False
        self._accept = accept
        self._needed = np.zeros(len(cells), bool)  # tested alone against the current cells

    def remove_runs(self, order: Order) -> None:
        """Remove what can be removed, run by run."""
        length = 1  # of the next run
        failed = None  # length of a run at the front that is known to hold a needed cell
        while len(order) and not self.budget_ended:
            if failed == 1:
                order, failed, length = order[1:], None, 1
                continue
            run = min(length, len(order)) if failed is None else failed // 2
            if self._can_remove(order[:run]):
                self.remove(order[:run])
                order, length = order[run:], 2 * length
                # The needed cell is then in the rest of the failed run.
                failed = None if failed is None else failed - run
            else:
                failed = run

    def removable(self, priority: Real[np.ndarray, " cells"]) -> Order:
        """Cells that can be removed alone, of those not tested against the current cells."""
        order = _by_priority(self.cells & ~self._needed, priority)
        if self.budget_ended or not len(order):
            return order[:0]
        accepted = self._accept(_without_each(self.cells, order))
        self.budget_ended = len(accepted) < len(order)
        return order[: len(accepted)][accepted]

    def remove(self, removed: Order) -> None:
        """Remove cells; cells that were needed beside them may not be needed any more."""
        self.cells[removed] = False
        self._needed[:] = False

    def _can_remove(self, removed: Order) -> bool:
        smaller = self.cells.copy()
        smaller[removed] = False
        accepted = self._accept(smaller[None])
        self.budget_ended = not len(accepted)
        if len(removed) == 1 and not self.budget_ended and not accepted[0]:
            self._needed[removed] = True
        return bool(accepted.any())


def _by_priority(cells: RegionSet, priority: np.ndarray) -> Order:
    veiled = np.flatnonzero(cells)
    return veiled[np.argsort(priority[veiled], kind="stable")]


def _without_each(cells: RegionSet, order: Order) -> RegionSets:
    sets = np.repeat(cells[None], len(order), axis=0)
    sets[np.arange(len(order)), order] = False
    return sets


def exchange(
    veiled: ReducedSet,
    areas: Real[np.ndarray, " cells"],
    importance: Float64[np.ndarray, " cells"],
    accept: Accept,
) -> ReducedSet:
    """Reduce the area of an irreducible set by exchanging cells for smaller ones.

    An irreducible set can still be far from the smallest: a large region ranked first hides
    what a small one would have hidden. Each round replaces one veiled cell, or all of them, by
    one smaller cell, in one batch. The acceptable set of the least area is reduced and starts
    the next round.

    Args:
        veiled: an acceptable set.
        areas: area of each cell.
        importance: importance of each cell; higher is tried earlier.
        accept: whether sets of cells are acceptable.

    Returns:
        A set of no more area.

    References:
        1-exchanges as in k-medoids: Kaufman and Rousseeuw, "Finding Groups in Data", 1990.
    """
    for _ in range(_MAX_ROUNDS):
        sets = _exchanges(veiled.cells, areas, importance)
        accepted = np.flatnonzero(accept(sets)) if len(sets) else np.zeros(0, int)
        if not len(accepted):
            break
        smallest = accepted[int((sets[accepted] @ areas).argmin())]
        veiled = reduce(sets[smallest], -areas, accept)
    return veiled


def _exchanges(cells: RegionSet, areas: np.ndarray, importance: np.ndarray) -> RegionSets:
    """Sets of less area that hold one new cell.

    For each new cell, most important first: the cell alone, and in the place of the largest
    veiled cell. Exchanges for the other veiled cells follow.
    """
    first, later = [], []
    unveiled = np.flatnonzero(~cells)
    for new in unveiled[np.argsort(-importance[unveiled], kind="stable")]:
        alone = np.arange(len(cells)) == new
        if cells.sum() > 1 and areas[new] < areas[cells].sum():
            first.append(alone)
        larger = np.flatnonzero(cells & (areas > areas[new]))
        largest_first = larger[np.argsort(-areas[larger], kind="stable")]
        swaps = [(cells | alone) & (np.arange(len(cells)) != old) for old in largest_first]
        first += swaps[:1]
        later += swaps[1:]
    most = min(_MAX_CANDIDATES, _MAX_EFFORT // max(1, int(cells.sum())))
    return np.array((first + later)[:most], bool).reshape(-1, len(cells))
