"""Regions with their statistics, and the three moves that improve them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from counterveil.segmentation.bass._compile import compiled
from counterveil.segmentation.bass.evidence import squared_error
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.pixels import Names, Pixels
from counterveil.segmentation.bass.proposals import Proposals
from counterveil.segmentation.bass.statistics import PIXELS, Sums, gaussians

Pairs = Int64[ndarray, "pairs 2"]


class Partition:
    """Connected regions at one scale, and what is decided about them.

    Args:
        pixels: that belong to them.
        model: what is believed of regions.
        area: that is expected of each region, in pixels; by default that of their mean.
    """

    def __init__(
        self, pixels: Pixels, model: Model, area: Float64[ndarray, " regions"] | None = None
    ) -> None:
        self.pixels = pixels
        self.model = model
        self.sums: Sums = pixels.sums()
        self.usual = pixels.usual()
        self.area = np.maximum(self.usual, 1.0) if area is None else area

    @property
    def count(self) -> int:
        """Regions."""
        return len(self.sums)

    def settle(self, sweeps: int) -> int:
        """Up to so many sweeps with the parameters held; returns how many pixels moved last."""
        parameters = gaussians(self.sums, self.area, self.model.weight**2)
        return self.pixels.settle(parameters, self.sums, sweeps, self.model)

    def split(
        self,
        *,
        prices: Float64[ndarray, " most"] | None = None,
        rng: np.random.Generator | None = None,
    ) -> int:
        """Cuts regions in half, each across x or y, whichever gains more; returns how many.

        Args:
            prices: ascending; the k-th best cut is made if it gains more than the k-th of
                these, and those before it were made; ``None`` cuts where that is accepted.
            rng: for Hastings ratios.
        """
        cuts = tuple(self.pixels.halves(self.sums, upright=upright) for upright in (False, True))
        sums = [self.pixels.half_sums(cut) for cut in cuts]
        upright = _left(sums[1]) < _left(sums[0])
        both = np.where(np.repeat(upright, 2)[:, None], sums[1], sums[0])
        able = np.flatnonzero(both[1::2, PIXELS] > 0)
        proposals = Proposals(both[2 * able], both[2 * able + 1], self.model, self.usual[able])
        if prices is None:
            chosen = able[proposals.split(rng)]
        else:
            best = np.argsort(-proposals.worth, kind="stable")[: len(prices)]
            worth = proposals.worth[best] > prices[: len(best)]
            chosen = able[best[np.logical_and.accumulate(worth)]]
        names = np.repeat(np.arange(self.count, dtype=np.int32), 2)
        names[2 * chosen + 1] = self.count + np.arange(len(chosen), dtype=np.int32)
        self.pixels.divide(self.pixels.either(upright, cuts), names, self.count + len(chosen))
        self.sums[chosen] = both[2 * chosen]
        self.sums = np.concatenate([self.sums, both[2 * chosen + 1]])
        self.area[chosen] = np.maximum(self.area[chosen] / 2, 1)
        self.area = np.concatenate([self.area, self.area[chosen]])
        self.usual = np.concatenate([self.usual, self.usual[chosen]])
        return len(chosen)

    def merge(self, *, most: int | None = None, rng: np.random.Generator | None = None) -> int:
        """Joins neighbours; returns how many.

        Args:
            most: join this many pairs, those that gain most first, in rounds that judge the
                joined ones anew; ``None`` joins where that is accepted, no region twice.
            rng: for Hastings ratios.
        """
        before = self.count
        names = np.arange(before, dtype=np.int32)
        pairs = _distinct(self.pixels.touching(), before)
        left = before if most is None else most
        while left > 0 and len(pairs):
            proposals = self._proposals(pairs)
            cost = proposals.gain if most is None else proposals.worth
            order = np.argsort(cost, kind="stable")
            if most is None:
                order = order[proposals.merge(rng)[order]]
            limit = left if most is None else (left + 1) // 2
            joined = pairs[order[_disjoint(pairs[order], self.count)[:limit]]]
            renamed = self._join(joined)
            names = renamed[names]
            if most is None or not len(joined):
                break
            left -= len(joined)
            pairs = _distinct(_keys(renamed[pairs].astype(np.int64), self.count), self.count)
        self.pixels.rename(names, self.count)
        return before - self.count

    def merge_costs(self) -> Float64[ndarray, " pairs"]:
        """What joining pairs of neighbours, no region twice, would cost; cheapest first."""
        pairs = _distinct(self.pixels.touching(), self.count)
        cost = self._proposals(pairs).worth
        order = np.argsort(cost, kind="stable")
        return np.asarray(cost[order[_disjoint(pairs[order], self.count)]])

    def _proposals(self, pairs: Pairs) -> Proposals:
        first, second = self.sums[pairs[:, 0]], self.sums[pairs[:, 1]]
        return Proposals(first, second, self.model, self.usual[pairs[:, 0]])

    def _join(self, joined: Pairs) -> Names:
        """Adds up the statistics of each pair; returns every region's new name."""
        keep, gone = joined[:, 0], joined[:, 1]
        self.sums[keep] += self.sums[gone]
        self.area[keep] += self.area[gone]
        stays = np.ones(self.count, dtype=bool)
        stays[gone] = False
        names = (np.cumsum(stays) - 1).astype(np.int32)
        names[gone] = names[keep]
        self.sums, self.area, self.usual = self.sums[stays], self.area[stays], self.usual[stays]
        return names


def _left(both: Sums) -> Float64[ndarray, " regions"]:
    """Squared error that a cut leaves in each region, of its halves' sums."""
    error = squared_error(both).sum(axis=1)
    return np.asarray(error[::2] + error[1::2])


def _keys(pairs: Pairs, count: int) -> Int64[ndarray, " keys"]:
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    return np.asarray((low * count + high)[low != high])


def _distinct(keys: Int64[ndarray, " keys"], count: int) -> Pairs:
    ordered = np.sort(keys)  # sorting is vectorised, and faster here than numpy.unique's hashing
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return np.stack(np.divmod(ordered[first], count), axis=1)


@compiled
def _disjoint(pairs: Pairs, count: int) -> Int64[ndarray, " chosen"]:
    """Indices of the pairs that, taken in order, share no region with one taken before."""
    taken = np.zeros(count, dtype=np.bool_)
    chosen = np.empty(pairs.shape[0], dtype=np.int64)
    end = 0
    for i in range(pairs.shape[0]):
        a, b = pairs[i, 0], pairs[i, 1]
        if not taken[a] and not taken[b]:
            taken[a] = taken[b] = True
            chosen[end] = i
            end += 1
    return chosen[:end].copy()
