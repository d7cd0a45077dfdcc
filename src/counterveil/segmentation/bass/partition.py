"""Partition of one image into regions, with the three moves of BASS: sweep, split and merge."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy import ndarray

from counterveil.segmentation.bass.border_moves import PaddedLabels, sufficient_statistics, sweep
from counterveil.segmentation.bass.initialisation import Features
from counterveil.segmentation.bass.model import (
    COUNT,
    Hyperparameters,
    PerRegion,
    Statistics,
    cached_njit,
    region_parameters,
    squared_error,
)
from counterveil.segmentation.bass.split_merge import Proposals, bisect
from counterveil.types import Labels

Pairs = Int64[ndarray, "pairs 2"]
Keys = Int64[ndarray, " pairs"]
"""Pairs of regions as ``low * count + high``."""


class Partition:
    """4-connected regions ``0 .. K-1`` on one level of the image pyramid.

    ``prior_area`` is the area that the prior expects of each region, in pixels; by default their
    mean.
    """

    def __init__(
        self,
        features: Features,
        labels: Labels,
        hyperparameters: Hyperparameters,
        prior_area: PerRegion | None = None,
    ) -> None:
        self.features = features
        self.padded: PaddedLabels = np.pad(labels, 1, constant_values=-1)
        self.hyperparameters = hyperparameters
        count = int(labels.max()) + 1
        self.statistics: Statistics = sufficient_statistics(self.labels, features, count)
        # A split or merge keeps the value of its region: guidance compares with the start.
        self.mean_area = np.full(count, labels.size / count)
        self.prior_area = np.maximum(self.mean_area, 1.0) if prior_area is None else prior_area

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.statistics)

    @property
    def labels(self) -> Labels:
        """``(H, W)``, ``0 .. K-1``; a copy."""
        return np.ascontiguousarray(self.padded[1:-1, 1:-1])

    def sweep(self, sweeps: int) -> int:
        """Sweeps with fixed parameters until nothing moves; returns the moves of the last sweep."""
        precision = self.hyperparameters.sqrt_precision
        potts = self.hyperparameters.potts
        parameters = region_parameters(self.statistics, self.prior_area, precision**2)
        active = np.ones(self.padded.shape, np.uint8)
        moves = 0
        for _ in range(sweeps):
            moves = sweep(
                self.padded, self.features, parameters, self.statistics, precision, potts, active
            )
            if moves == 0:
                break
        return moves

    def split(
        self,
        *,
        min_gains: Float64[ndarray, " most"] | None = None,
        rng: np.random.Generator | None = None,
    ) -> int:
        """Cuts regions in two, along x or y, whichever leaves less error; returns how many.

        Args:
            min_gains: ascending; the k-th best cut is made if its gain exceeds the k-th value
                and all better cuts were made; ``None`` applies the acceptance rule.
            rng: for the Hastings rule.
        """
        labels = self.labels
        cuts = [bisect(labels, self.statistics, along_y=along_y) for along_y in (False, True)]
        # Row 2k and row 2k + 1: the two parts of region k.
        halves = [labels * 2 + (cut - 1) for cut in cuts]
        sums = [sufficient_statistics(half, self.features, 2 * self.count) for half in halves]
        along_y = _remaining_error(sums[1]) < _remaining_error(sums[0])
        parts = np.where(np.repeat(along_y, 2)[:, None], sums[1], sums[0])
        divisible = np.flatnonzero(parts[1::2, COUNT] > 0)
        first, second = parts[2 * divisible], parts[2 * divisible + 1]
        proposals = Proposals(first, second, self.hyperparameters, self.mean_area[divisible])
        if min_gains is None:
            chosen = divisible[proposals.accept_split(rng)]
        else:
            best = np.argsort(-proposals.fit_gain, kind="stable")[: len(min_gains)]
            worthwhile = proposals.fit_gain[best] > min_gains[: len(best)]
            chosen = divisible[best[np.logical_and.accumulate(worthwhile)]]
        new_labels = np.repeat(np.arange(self.count, dtype=np.int32), 2)
        new_labels[2 * chosen + 1] = self.count + np.arange(len(chosen), dtype=np.int32)
        half = np.where(along_y[labels], halves[1], halves[0])
        self.padded[1:-1, 1:-1] = new_labels[half]
        self._append_parts(chosen, parts)
        return len(chosen)

    def _append_parts(self, chosen: Int64[ndarray, " chosen"], parts: Statistics) -> None:
        """Keeps the first part of each chosen region in its row and appends the second."""
        self.statistics[chosen] = parts[2 * chosen]
        self.statistics = np.concatenate([self.statistics, parts[2 * chosen + 1]])
        self.prior_area[chosen] = np.maximum(self.prior_area[chosen] / 2, 1)
        self.prior_area = np.concatenate([self.prior_area, self.prior_area[chosen]])
        self.mean_area = np.concatenate([self.mean_area, self.mean_area[chosen]])

    def merge(self, *, most: int | None = None, rng: np.random.Generator | None = None) -> int:
        """Merges pairs of adjacent regions, smallest gain first; returns how many.

        Args:
            most: merge this many pairs, in rounds that score the merged regions again; ``None``
                applies the acceptance rule, and merges no region twice.
            rng: for the Hastings rule.
        """
        before = self.count
        new_labels = np.arange(before, dtype=np.int32)
        pairs = _unique_pairs(_adjacent_keys(self.padded, before), before)
        left = before if most is None else most
        while left > 0 and len(pairs):
            proposals = self._merge_proposals(pairs)
            cost = proposals.gain if most is None else proposals.fit_gain
            order = np.argsort(cost, kind="stable")
            if most is None:
                order = order[proposals.accept_merge(rng)[order]]
            # Half of what is left in each round: the costs of the merged regions are out of date.
            limit = left if most is None else (left + 1) // 2
            merged = pairs[order[_disjoint(pairs[order], self.count)[:limit]]]
            relabel = self._merge_statistics(merged)
            new_labels = relabel[new_labels]
            if most is None or not len(merged):
                break
            left -= len(merged)
            pairs = relabel[pairs].astype(np.int64)
            low, high = pairs.min(axis=1), pairs.max(axis=1)
            pairs = _unique_pairs((low * self.count + high)[low != high], self.count)
        self.padded[1:-1, 1:-1] = new_labels[self.labels]
        return before - self.count

    def merge_costs(self) -> Float64[ndarray, " pairs"]:
        """Fit that merges of adjacent pairs would lose, no region twice; ascending."""
        pairs = _unique_pairs(_adjacent_keys(self.padded, self.count), self.count)
        cost = self._merge_proposals(pairs).fit_gain
        order = np.argsort(cost, kind="stable")
        return np.asarray(cost[order[_disjoint(pairs[order], self.count)]])

    def upsampled(self, features: Features, factor: int) -> Partition:
        """The same regions on the level that is ``factor`` times larger."""
        height, width = features.shape[:2]
        labels = self.labels.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
        area = self.prior_area * factor**2
        return Partition(features, np.ascontiguousarray(labels), self.hyperparameters, area)

    def _merge_proposals(self, pairs: Pairs) -> Proposals:
        first, second = self.statistics[pairs[:, 0]], self.statistics[pairs[:, 1]]
        return Proposals(first, second, self.hyperparameters, self.mean_area[pairs[:, 0]])

    def _merge_statistics(self, merged: Pairs) -> Int32[ndarray, " regions"]:
        """Adds the second of each pair to the first; returns the new label of every region."""
        keep, gone = merged[:, 0], merged[:, 1]
        self.statistics[keep] += self.statistics[gone]
        self.prior_area[keep] += self.prior_area[gone]
        stays = np.ones(self.count, dtype=bool)
        stays[gone] = False
        relabel = (np.cumsum(stays) - 1).astype(np.int32)
        relabel[gone] = relabel[keep]
        self.statistics, self.prior_area = self.statistics[stays], self.prior_area[stays]
        self.mean_area = self.mean_area[stays]
        return relabel


def _remaining_error(parts: Statistics) -> PerRegion:
    """Squared error of the two parts of each region."""
    error = squared_error(parts).sum(axis=1)
    return np.asarray(error[::2] + error[1::2])


def _unique_pairs(keys: Keys, count: int) -> Pairs:
    """Pairs (low, high) in ascending order, without repeats."""
    ordered = np.sort(keys)  # vectorised, and faster here than the hashing of numpy.unique
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return np.stack(np.divmod(ordered[first], count), axis=1)


@cached_njit
def _adjacent_keys(padded: PaddedLabels, count: int) -> Keys:
    """Keys of 4-adjacent regions, with repeats."""
    keys = np.empty(2 * padded.size, dtype=np.int64)
    end = 0
    for y in range(1, padded.shape[0] - 1):
        previous = np.zeros(2, dtype=np.int64) - 1
        for x in range(1, padded.shape[1] - 1):
            own = np.int64(padded[y, x])
            for i in range(2):  # right and lower neighbour
                other = np.int64(padded[y + i, x + 1 - i])
                if other >= 0 and other != own:
                    key = min(own, other) * count + max(own, other)
                    if key != previous[i]:
                        previous[i] = key
                        keys[end] = key
                        end += 1
    return keys[:end].copy()


@cached_njit
def _disjoint(pairs: Pairs, count: int) -> Int64[ndarray, " chosen"]:
    """Indices of the pairs that share no region with a pair chosen before them, in order."""
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
