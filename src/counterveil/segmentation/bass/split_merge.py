"""Splits and merges of BASS: how a region is cut in two, and which proposals are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

from counterveil.segmentation.bass import model
from counterveil.segmentation.bass.model import (
    COUNT,
    GUIDANCE,
    Hyperparameters,
    Statistics,
    cached_njit,
)
from counterveil.types import Labels

Parts = UInt8[ndarray, "height width"]
"""Part of its region, 1 or 2, that each pixel belongs to."""

PerProposal = Float64[ndarray, " proposals"]

_TOLERANCE = 2.0  # a split or merge may lower the log ratio by this much


def bisect(labels: Labels, statistics: Statistics, *, along_y: bool) -> Parts:
    """Cuts every region in two parts, both 4-connected.

    The seeds lie one pixel left and right of the region's centre or, with ``along_y``, two above
    and below it. A seed outside the region moves to the nearest pixel of the region. Each pixel
    joins the seed that is nearer in 4-connected steps inside the region (geodesic distance).
    A region whose seeds coincide is not cut: all its pixels are in part 1.
    """
    centre = (statistics[:, 1:3] / statistics[:, :1]).astype(np.int64)  # (K, 2): x, y
    step = np.array([0, 2]) if along_y else np.array([1, 0])
    seeds = _nearest_inside(labels, np.concatenate([centre - step, centre + step], axis=1))
    return _grow_from_seeds(labels, seeds)


@cached_njit
def _nearest_inside(
    labels: Labels, targets: Int64[ndarray, "regions 4"]
) -> Int64[ndarray, "regions 2"]:
    """Flat index of the region's pixel nearest to each of its two targets (x, y)."""
    width = labels.shape[1]
    smallest = np.full((targets.shape[0], 2), np.iinfo(np.int64).max)
    nearest = np.zeros((targets.shape[0], 2), dtype=np.int64)
    for y in range(labels.shape[0]):
        for x in range(width):
            label = labels[y, x]
            for i in range(2):
                dx, dy = x - targets[label, 2 * i], y - targets[label, 2 * i + 1]
                distance = dx * dx + dy * dy
                if distance < smallest[label, i]:
                    smallest[label, i] = distance
                    nearest[label, i] = y * width + x
    return nearest


@cached_njit
def _grow_from_seeds(labels: Labels, seeds: Int64[ndarray, "regions 2"]) -> Parts:
    """Breadth-first search from all seeds at once; it never leaves a region."""
    height, width = labels.shape
    flat = labels.ravel()
    part = np.zeros(height * width, dtype=np.uint8)
    queue = np.empty(height * width, dtype=np.int64)
    end = 0
    for i in range(2):
        for k in range(seeds.shape[0]):
            seed = seeds[k, i]
            if part[seed] == 0:
                part[seed] = i + 1
                queue[end] = seed
                end += 1
    start = 0
    while start < end:
        pixel = queue[start]
        start += 1
        x = pixel % width
        for step, inside in (
            (-width, pixel >= width),
            (width, pixel + width < flat.size),
            (-1, x > 0),
            (1, x < width - 1),
        ):
            neighbour = pixel + step
            if inside and part[neighbour] == 0 and flat[neighbour] == flat[pixel]:
                part[neighbour] = part[pixel]
                queue[end] = neighbour
                end += 1
    return part.reshape(height, width)


@dataclass(frozen=True, eq=False)
class Proposals:
    """Pairs of parts (``first``, ``second``), each of which may be two regions or one.

    ``mean_area`` is the area of a usual region of the image, in pixels.
    """

    first: Statistics
    second: Statistics
    hyperparameters: Hyperparameters
    mean_area: PerProposal

    def accept_split(self, rng: np.random.Generator | None) -> Bool[ndarray, " proposals"]:
        """Which unions become two regions; only the Hastings rule draws from ``rng``."""
        # The authors' program computes the Hastings ratio and then overwrites it with this rule.
        # In effect: dSSE > 2 color_std (1.5 log(n1 n2 / n) - 2), without guidance.
        if self.hyperparameters.acceptance == "marginal":
            return np.asarray(self.gain > -_TOLERANCE)
        ratio = model.log_hastings_split(
            self.first, self.second, self._variance, self.hyperparameters.alpha
        )
        return _metropolis_hastings(ratio + self._penalty_discount, rng)

    def accept_merge(self, rng: np.random.Generator | None) -> Bool[ndarray, " proposals"]:
        """Which pairs become one region; only the Hastings rule draws from ``rng``."""
        alpha = self.hyperparameters.alpha
        # In effect: dSSE < 2 color_std (1.5 log(n1 n2 / n) + 2 - log alpha), without guidance.
        if self.hyperparameters.acceptance == "marginal":
            return np.asarray(-self.gain - np.log(alpha) > -_TOLERANCE)
        ratio = model.log_hastings_merge(self.first, self.second, self._variance, alpha)
        return _metropolis_hastings(ratio - self._penalty_discount, rng)

    @cached_property
    def gain(self) -> PerProposal:
        """Log Bayes factor of two regions against one, plus the discount that guidance gives."""
        ratio = model.log_bayes_factor(self.first, self.second, self._variance)
        return np.asarray(ratio + self._penalty_discount)

    @cached_property
    def fit_gain(self) -> PerProposal:
        """``gain`` without the penalty for one more region: about ``dSSE / (2 variance)``.

        It ranks proposals if the number of regions is fixed. With the penalty, which grows with
        the area, large regions would merge before small ones.
        """
        return np.asarray(self.gain + self._penalty)

    @cached_property
    def _mean_guidance(self) -> PerProposal:
        """Mean guidance of the union times its weight."""
        union = self.first + self.second
        weight = self.hyperparameters.guidance_weight
        return np.asarray(weight * union[:, GUIDANCE] / union[:, COUNT])

    @cached_property
    def _variance(self) -> PerProposal:
        # The authors' b0 is i_std a0: a standard deviation in the place of a variance.
        return np.asarray(self.hyperparameters.color_std / (1 + 3 * self._mean_guidance))

    @cached_property
    def _penalty(self) -> PerProposal:
        """Log ratio that one more region costs: the ``1.5 log(n1 n2 / n)`` of the Bayes factor."""
        n1, n2 = self.first[:, COUNT], self.second[:, COUNT]
        return np.asarray(1.5 * np.log(np.maximum(n1 * n2 / (n1 + n2), 1)))

    @cached_property
    def _penalty_discount(self) -> PerProposal:
        """Part of the penalty that guidance removes.

        It is positive if the union is larger than ``mean_area / (1 + 3 guidance)``. It is the
        whole penalty for guidance 1 and twice that area. So even regions of one colour become
        finer where guidance is high.
        """
        area = self.first[:, COUNT] + self.second[:, COUNT]
        relative_area = area * (1 + 3 * self._mean_guidance) / self.mean_area
        share = np.clip(self._mean_guidance * np.log2(np.maximum(relative_area, 1)), 0, 1)
        return np.asarray(share * self._penalty)


def _metropolis_hastings(
    log_ratio: PerProposal, rng: np.random.Generator | None
) -> Bool[ndarray, " proposals"]:
    """Accepts each proposal with probability ``min(1, ratio)``."""
    assert rng is not None, "Bass checks that the Hastings rule has a generator"
    # 1 - u lies in (0, 1], so the logarithm is finite.
    return np.log1p(-rng.uniform(size=len(log_ratio))) < log_ratio
