"""Which proposed splits and merges are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from counterveil.segmentation.bass import evidence
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.statistics import IMPORTANCE, PIXELS, Sums

PerProposal = Float64[ndarray, " proposals"]
_EASE = 2.0  # a split or merge may lose this much, in log ratio, and still be accepted


@dataclass(frozen=True, eq=False)
class Proposals:
    """Pairs of regions that may be two or one.

    Attributes:
        first: sums of the one part.
        second: sums of the other.
        model: the priors.
        usual: area of a usual region of the image that each lies in, in pixels.
    """

    first: Sums
    second: Sums
    model: Model
    usual: PerProposal

    def split(self, rng: np.random.Generator | None) -> Bool[ndarray, " proposals"]:
        """Which unions become two; ``rng`` is drawn from for Hastings ratios only."""
        if self.model.acceptance == "marginal":
            return np.asarray(self.gain > -_EASE)
        ratio = evidence.hastings_split(self.first, self.second, self._variance, self.model.alpha)
        return _drawn(ratio + self._waived, rng)

    def merge(self, rng: np.random.Generator | None) -> Bool[ndarray, " proposals"]:
        """Which pairs become one; ``rng`` is drawn from for Hastings ratios only."""
        if self.model.acceptance == "marginal":
            return np.asarray(-self.gain - np.log(self.model.alpha) > -_EASE)
        ratio = evidence.hastings_merge(self.first, self.second, self._variance, self.model.alpha)
        return _drawn(ratio - self._waived, rng)

    @cached_property
    def gain(self) -> PerProposal:
        """Log ratio by which two are better than one, guidance included."""
        ratio = evidence.marginal_ratio(self.first, self.second, self._variance)
        return np.asarray(ratio + self._waived)

    @cached_property
    def worth(self) -> PerProposal:
        """By how much two explain the colours better than one, whatever a region more costs.

        What ranks proposals where the number of regions is given: the gain without its price,
        ``dSSE / (2 variance)``. With the price, large regions would be merged before small ones.
        """
        return np.asarray(self.gain + self._price)

    @cached_property
    def _heat(self) -> PerProposal:
        """Mean guidance of the union, weighed."""
        union = self.first + self.second
        return np.asarray(self.model.guidance_weight * union[:, IMPORTANCE] / union[:, PIXELS])

    @cached_property
    def _variance(self) -> PerProposal:
        return np.asarray(self.model.color_std / (1 + 3 * self._heat))

    @cached_property
    def _waived(self) -> PerProposal:
        """The price of having one region more, as far as guidance waives it.

        Where the union is hot and larger than the usual area over ``1 + 3 heat`` it is waived,
        in full when it is hottest and twice that size.
        """
        area = self.first[:, PIXELS] + self.second[:, PIXELS]
        oversize = np.log2(np.maximum(area * (1 + 3 * self._heat) / self.usual, 1))
        share = np.clip(self._heat * oversize, 0, 1)
        return np.asarray(share * self._price)

    @cached_property
    def _price(self) -> PerProposal:
        """Of having one region more."""
        n1, n2 = self.first[:, PIXELS], self.second[:, PIXELS]
        return np.asarray(1.5 * np.log(np.maximum(n1 * n2 / (n1 + n2), 1)))


def _drawn(ratio: PerProposal, rng: np.random.Generator | None) -> Bool[ndarray, " proposals"]:
    assert rng is not None, "the caller of Hastings ratios has seen to it"
    return np.log1p(-rng.uniform(size=len(ratio))) < ratio
