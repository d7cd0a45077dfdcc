"""A labelling with its statistics, and the three moves that improve it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from counterveil.regions.bass._compile import compiled
from counterveil.regions.bass.divide import halves
from counterveil.regions.bass.evidence import squared_error
from counterveil.regions.bass.model import Model
from counterveil.regions.bass.proposals import Proposals
from counterveil.regions.bass.statistics import PIXELS, Sums, gaussians, sum_up
from counterveil.regions.bass.sweep import sweep
from counterveil.regions.bass.topology import SIMPLE
from counterveil.types import Labels

Planes = Float32[ndarray, "height width 4"]
Pairs = Int64[ndarray, "pairs 2"]


class Partition:
    """Connected regions of one image at one scale.

    Args:
        planes: CIELAB / 100 and importance.
        labels: ``0 .. K-1``, each one 4-connected.
        model: what is believed of regions.
        area: that is expected of each region, in pixels; by default that of their mean.
    """

    def __init__(
        self,
        planes: Planes,
        labels: Labels,
        model: Model,
        area: Float64[ndarray, " regions"] | None = None,
    ) -> None:
        count = int(labels.max()) + 1
        self.planes = planes
        self.model = model
        self.padded: Int32[ndarray, "height+2 width+2"] = np.pad(labels, 1, constant_values=-1)
        self.sums: Sums = sum_up(labels, planes, count)
        self.usual = labels.size / count
        self.area = np.full(count, max(self.usual, 1.0)) if area is None else area

    @property
    def count(self) -> int:
        """Regions."""
        return len(self.sums)

    @property
    def labels(self) -> Labels:
        """A copy, without the frame."""
        return np.ascontiguousarray(self.padded[1:-1, 1:-1])

    def settle(self, sweeps: int) -> int:
        """Up to so many sweeps with the parameters held; returns how many pixels moved last."""
        parameters = gaussians(self.sums, self.area, self.model.weight**2)
        due = np.ones(self.padded.shape, np.uint8)
        moved = 0
        for _ in range(sweeps):
            moved = sweep(
                self.padded,
                self.planes,
                parameters,
                self.sums,
                SIMPLE,
                self.model.weight,
                self.model.potts,
                due,
            )
            if moved == 0:
                break
        return moved

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
        labels = self.labels
        half = self._better_half(labels)
        halved = labels * 2 + (half - 1)
        both = sum_up(halved, self.planes, 2 * self.count)
        able = np.flatnonzero(both[1::2, PIXELS] > 0)
        proposals = Proposals(both[2 * able], both[2 * able + 1], self.model, self.usual)
        if prices is None:
            chosen = able[proposals.split(rng)]
        else:
            best = np.argsort(-proposals.worth, kind="stable")[: len(prices)]
            worth = proposals.worth[best] > prices[: len(best)]
            chosen = able[best[np.logical_and.accumulate(worth)]]
        names = np.repeat(np.arange(self.count, dtype=np.int32), 2)
        names[2 * chosen + 1] = self.count + np.arange(len(chosen), dtype=np.int32)
        self.padded[1:-1, 1:-1] = names[halved]
        self.sums[chosen] = both[2 * chosen]
        self.sums = np.concatenate([self.sums, both[2 * chosen + 1]])
        self.area[chosen] = np.maximum(self.area[chosen] / 2, 1)
        self.area = np.concatenate([self.area, self.area[chosen]])
        return len(chosen)

    def _better_half(self, labels: Labels) -> UInt8[ndarray, "height width"]:
        """Of each region's cuts across x and across y the one that explains more."""
        cuts = [halves(labels, self.sums, upright=upright) for upright in (False, True)]
        left = []  # squared error that the cut would leave, a region
        for cut in cuts:
            both = sum_up(labels * 2 + (cut - 1), self.planes, 2 * self.count)
            error = squared_error(both).sum(axis=1)
            left.append(error[::2] + error[1::2])
        return np.where((left[1] < left[0])[labels], cuts[1], cuts[0])

    def merge(self, *, most: int | None = None, rng: np.random.Generator | None = None) -> int:
        """Joins neighbours; returns how many.

        Args:
            most: join this many pairs, those that gain most first, in rounds that judge the
                joined ones anew; ``None`` joins where that is accepted, no region twice.
            rng: for Hastings ratios.
        """
        before = self.count
        names = np.arange(before, dtype=np.int32)
        pairs = _distinct(touching(self.padded, before), before)
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
        self.padded[1:-1, 1:-1] = names[self.labels]
        return before - self.count

    def merge_costs(self) -> Float64[ndarray, " pairs"]:
        """What joining pairs of neighbours, no region twice, would cost; cheapest first."""
        pairs = _distinct(touching(self.padded, self.count), self.count)
        cost = self._proposals(pairs).worth
        order = np.argsort(cost, kind="stable")
        return np.asarray(cost[order[_disjoint(pairs[order], self.count)]])

    def _proposals(self, pairs: Pairs) -> Proposals:
        first, second = self.sums[pairs[:, 0]], self.sums[pairs[:, 1]]
        return Proposals(first, second, self.model, self.usual)

    def _join(self, joined: Pairs) -> Int32[ndarray, " regions"]:
        """Adds up the statistics of each pair; returns every region's new name."""
        keep, gone = joined[:, 0], joined[:, 1]
        self.sums[keep] += self.sums[gone]
        self.area[keep] += self.area[gone]
        stays = np.ones(self.count, dtype=bool)
        stays[gone] = False
        names = (np.cumsum(stays) - 1).astype(np.int32)
        names[gone] = names[keep]
        self.sums, self.area = self.sums[stays], self.area[stays]
        return names


def _keys(pairs: Pairs, count: int) -> Int64[ndarray, " keys"]:
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    return np.asarray((low * count + high)[low != high])


def _distinct(keys: Int64[ndarray, " keys"], count: int) -> Pairs:
    ordered = np.sort(keys)  # sorting is vectorised, and faster here than numpy.unique's hashing
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return np.stack(np.divmod(ordered[first], count), axis=1)


@compiled
def touching(padded: Int32[ndarray, "height+2 width+2"], count: int) -> Int64[ndarray, " keys"]:
    """Pairs of 4-neighbouring labels as ``low * count + high``, with repeats."""
    found = np.empty(2 * padded.size, dtype=np.int64)
    end = 0
    for y in range(1, padded.shape[0] - 1):
        last = np.zeros(2, dtype=np.int64) - 1
        for x in range(1, padded.shape[1] - 1):
            own = np.int64(padded[y, x])
            for i in range(2):
                other = np.int64(padded[y + i, x + 1 - i])
                if other >= 0 and other != own:
                    key = min(own, other) * count + max(own, other)
                    if key != last[i]:
                        last[i] = key
                        found[end] = key
                        end += 1
    return found[:end].copy()


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
