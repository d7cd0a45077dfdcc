"""Whether the colours of a region speak for one cause or for two."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from counterveil.segmentation.bass.statistics import COLOUR, PIXELS, SQUARES, Sums

_STRENGTH = 1e4  # a0: how many half-pixels' worth of trust the prior variance has

PerRegion = Float64[ndarray, " regions"]


def _log_gamma(value: float | Float64[ndarray, " regions"]) -> PerRegion:
    return np.asarray(np.vectorize(math.lgamma, otypes=[np.float64])(value))


def squared_error(sums: Sums) -> Float64[ndarray, "regions 3"]:
    """Of each region's colours around their mean, a channel."""
    spread = sums[:, SQUARES] - sums[:, COLOUR] ** 2 / np.maximum(sums[:, :1], 1)
    return np.asarray(np.maximum(spread, 0))


def marginal(sums: Sums, variance: PerRegion) -> PerRegion:
    """Log marginal likelihood of each region's colours, as far as an acceptance needs it.

    ``sum over channels of -a_n log(b_c / b0) - log(n) / 2`` with ``a0 = 1e4``, ``b0 = variance
    a0``, ``a_n = a0 + n / 2`` and ``b_c = b0 + SSE_c / 2``: a Normal-Gamma prior, flat in the
    mean; factors that (nearly) cancel between a region and its two halves are left out.
    """
    n = sums[:, PIXELS, None]
    grown = np.log1p(squared_error(sums) / (2 * _STRENGTH * variance[:, None]))
    channels = -(_STRENGTH + n / 2) * grown - np.log(n) / 2
    return np.asarray(channels[:, 0] + channels[:, 1] + channels[:, 2])  # faster than a sum


def full_marginal(sums: Sums, variance: PerRegion) -> PerRegion:
    """The same with every factor: what the published Hastings ratios multiply."""
    n = sums[:, PIXELS]
    ratio = _log_gamma(_STRENGTH + n / 2) - _log_gamma(_STRENGTH)
    scale = n / 2 * np.log(2 * np.pi * _STRENGTH * variance)
    return np.asarray(marginal(sums, variance) + 3 * (ratio - scale))


def marginal_ratio(first: Sums, second: Sums, variance: PerRegion) -> PerRegion:
    """How much more likely two regions are than their union, as log Bayes factors.

    About ``dSSE / (2 variance) - 1.5 log(n1 n2 / n)``, dSSE the squared error between the two.
    """
    apart = marginal(first, variance) + marginal(second, variance)
    return np.asarray(apart - marginal(first + second, variance))


def hastings_split(first: Sums, second: Sums, variance: PerRegion, alpha: float) -> PerRegion:
    """Log of the published ratio ``alpha G(n1) m1 G(n2) m2 / (G(n) m)``; G is the gamma function.

    References:
        Chang and Fisher III, "Parallel Sampling of DP Mixture Models using Sub-Cluster Splits",
        NIPS 2013; Uziel, Ronen and Freifeld, ICCV 2019.
    """
    apart = _weight(first, variance) + _weight(second, variance)
    return np.asarray(np.log(alpha) + apart - _weight(first + second, variance))


def hastings_merge(first: Sums, second: Sums, variance: PerRegion, alpha: float) -> PerRegion:
    """Log of the ratio published beside the split's.

    ``G(n) m G(alpha) G(alpha/2 + n1) G(alpha/2 + n2)`` over ``alpha G(n1) m1 G(n2) m2 G(alpha +
    n) G(alpha/2)^2``.
    """
    n1, n2 = first[:, PIXELS], second[:, PIXELS]
    sides = _log_gamma(alpha / 2 + n1) + _log_gamma(alpha / 2 + n2) - 2 * _log_gamma(alpha / 2)
    shares = _log_gamma(alpha) - _log_gamma(alpha + n1 + n2) + sides
    return np.asarray(shares - hastings_split(first, second, variance, alpha))


def _weight(sums: Sums, variance: PerRegion) -> PerRegion:
    return np.asarray(_log_gamma(sums[:, PIXELS]) + full_marginal(sums, variance))
