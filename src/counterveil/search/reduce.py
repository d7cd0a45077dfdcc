"""Give back every veiled cell that the veil can do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Real

from counterveil.search.trial import Sets

Cells = Bool[np.ndarray, " cells"]
Order = Int[np.ndarray, " n"]
"""Cells by number, in the order in which they are given back."""
Accept = Callable[[Sets], Bool[np.ndarray, " batch"]]
"""Whether each set of cells keeps the image safe; fewer answers when the budget ends."""


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

    Runs of cells are given back together, from the front of ``priority``: from one cell on, they
    double as long as they go, and of one that does not, half is tried, until the cell that cannot
    be spared is found; behind it runs start from one cell again. The cells left are then tried one
    by one, all but those that were since the last one went, and what can go is given back in the
    same way. That no single cell can go is so shown in the end, whether or not more veil is
    always safer (1-minimality, as in delta debugging).

    With k of n cells left, sets of the order of k log2(n / k) are tried, where trying each cell,
    pass by pass, takes n and more a pass. They are tried one after another: more at once would
    be more images scored, and those are what a search costs.

    Args:
        cells: the veil to start from; it must be acceptable itself.
        priority: lower goes first.
        accept: whether sets of cells are acceptable.

    References:
        Hwang, "A method for detecting all defective members in a population by group testing",
        1972 (generalised binary splitting).
        Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
    """
    reduction = _Reduction(cells.copy(), accept)
    order = _ordered(cells, priority)
    while True:
        reduction.give_back(order)
        free = reduction.free(priority)
        if not len(free):
            return Reduced(reduction.cells, irreducible=not reduction.ended)
        reduction.drop(free[:1])
        order = free[1:]


class _Reduction:
    """What is still veiled.

    Attributes:
        cells: the veil as it is now.
        ended: whether the budget has.
    """

    def __init__(self, cells: Cells, accept: Accept) -> None:
        self.cells = cells
        self.ended = False
        self._accept = accept
        self._needed = np.zeros(len(cells), bool)  # seen to be, by the veil as it is now

    def give_back(self, order: Order) -> None:
        """Give back what can go, run by run, from the front."""
        length, fails = 1, None  # of the next run; of one that is known not to go
        while len(order) and not self.ended:
            if fails == 1:
                order, fails, length = order[1:], None, 1
                continue
            run = min(length, len(order)) if fails is None else fails // 2
            if self._can_go(order[:run]):
                self.drop(order[:run])
                order, length = order[run:], 2 * length
                fails = None if fails is None else fails - run
            else:
                fails = run

    def free(self, priority: Real[np.ndarray, " cells"]) -> Order:
        """Cells that can go alone; none where the budget ends before that is known."""
        order = _ordered(self.cells & ~self._needed, priority)
        if self.ended or not len(order):
            return order[:0]
        verdicts = self._accept(_without_each(self.cells, order))
        self.ended = len(verdicts) < len(order)
        return order[: len(verdicts)][verdicts]

    def drop(self, gone: Order) -> None:
        """Give cells back; what was needed with them may not be without."""
        self.cells[gone] = False
        self._needed[:] = False

    def _can_go(self, gone: Order) -> bool:
        without = self.cells.copy()
        without[gone] = False
        verdicts = self._accept(without[None])
        self.ended = not len(verdicts)
        if len(gone) == 1 and not self.ended and not verdicts[0]:
            self._needed[gone] = True
        return bool(verdicts.any())


def _ordered(cells: Cells, priority: np.ndarray) -> Order:
    veiled = np.flatnonzero(cells)
    return veiled[np.argsort(priority[veiled], kind="stable")]


def _without_each(cells: Cells, order: Order) -> Sets:
    sets = np.repeat(cells[None], len(order), axis=0)
    sets[np.arange(len(order)), order] = False
    return sets
