"""Probabilistic model of BASS: posteriors, marginal likelihoods and Hastings ratios.

A region is a Gaussian in colour (fixed precision) and in position (full covariance). With a0 =
1e4 and b0 = variance a0, the marginal likelihood of n colours is that of a Normal-Gamma prior.
See ``Bass`` for the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit
from numpy import ndarray

Acceptance = Literal["marginal", "hastings"]

Statistics = Float64[ndarray, "regions 13"]
"""Sums over each region's pixels: 1; x; y; xx; xy; yy; 3 colours; their squares; guidance."""

Parameters = Float32[ndarray, "regions 9"]
"""Each region's mean colour times sqrt(precision); mean x, y; inverse covariance; log det."""

PerRegion = Float64[ndarray, " regions"]

COUNT, COLOUR, SQUARES, GUIDANCE = 0, slice(6, 9), slice(9, 12), 12
"""Columns of ``Statistics``."""

_A0 = 1e4  # shape of the Normal-Gamma prior: the weight of the prior variance, in half pixels


@dataclass(frozen=True)
class Hyperparameters:
    """Those attributes of ``Bass`` that belong to the model; it describes them."""

    color_std: float = 0.018
    potts: float = 0.5
    alpha: float = 0.5
    acceptance: Acceptance = "marginal"
    guidance_weight: float = 1.0

    @property
    def sqrt_precision(self) -> float:
        """Square root of the precision J of a colour channel: a sweep halves ``color_std``."""
        return 2 / self.color_std


def region_parameters(
    statistics: Statistics, prior_area: PerRegion, precision: float
) -> Float32[ndarray, "regions 9"]:
    """Gaussian of each region that a sweep scores pixels with, ``(K, 9)``.

    The spatial covariance is the posterior mean under a Normal-Inverse-Wishart prior that expects
    a round region of area a >= 1: ``Sigma = (a^2 I + S) / (n + 50 a - 3)`` with the scatter S.
    """
    n, x, y, xx, xy, yy = statistics[:, :6].T
    # The scatter of three or fewer pixels may be singular, so the prior alone decides.
    scatter = np.stack([xx - x * x / n, xy - x * y / n, yy - y * y / n]) * (n > 3)
    denominator = n + 50 * prior_area - 3
    sxx, sxy, syy = (prior_area**2 * np.array([[1], [0], [1]]) + scatter) / denominator
    determinant = np.maximum(sxx * syy - sxy * sxy, 1e-12)
    parameters = np.empty((len(statistics), 9), dtype=np.float32)
    # Colours are scaled once here, so that a sweep does not multiply by J for each pixel.
    parameters[:, 0:3] = statistics[:, COLOUR] / n[:, None] * np.sqrt(precision)
    parameters[:, 3] = x / n
    parameters[:, 4] = y / n
    parameters[:, 5] = syy / determinant
    parameters[:, 6] = -2 * sxy / determinant
    parameters[:, 7] = sxx / determinant
    parameters[:, 8] = np.log(determinant)
    return parameters


def squared_error(statistics: Statistics) -> Float64[ndarray, "regions 3"]:
    """Sum of squared differences to the mean colour (SSE), for each region and channel."""
    error = statistics[:, SQUARES] - statistics[:, COLOUR] ** 2 / np.maximum(statistics[:, :1], 1)
    return np.asarray(np.maximum(error, 0))


def log_marginal(statistics: Statistics, variance: PerRegion) -> PerRegion:
    """Log marginal likelihood of each region's colours, without factors that cancel.

    ``sum over channels of -a_n log(b_c / b0) - log(n) / 2`` with ``a_n = a0 + n / 2`` and ``b_c
    = b0 + SSE_c / 2``. The factors left out are (nearly) equal for a region and its two parts.
    """
    n = statistics[:, COUNT, None]
    log_ratio = np.log1p(squared_error(statistics) / (2 * _A0 * variance[:, None]))
    channels = -(_A0 + n / 2) * log_ratio - np.log(n) / 2
    return np.asarray(channels[:, 0] + channels[:, 1] + channels[:, 2])  # faster than sum(axis=1)


def full_log_marginal(statistics: Statistics, variance: PerRegion) -> PerRegion:
    """``log_marginal`` with every factor, as the published Hastings ratios need it."""
    n = statistics[:, COUNT]
    gammas = _log_gamma(_A0 + n / 2) - _log_gamma(_A0)
    scale = n / 2 * np.log(2 * np.pi * _A0 * variance)
    return np.asarray(log_marginal(statistics, variance) + 3 * (gammas - scale))


def log_bayes_factor(first: Statistics, second: Statistics, variance: PerRegion) -> PerRegion:
    """Log Bayes factor of two regions against their union.

    It is about ``dSSE / (2 variance) - 1.5 log(n1 n2 / n)``; dSSE is the between-part error.
    """
    parts = log_marginal(first, variance) + log_marginal(second, variance)
    return np.asarray(parts - log_marginal(first + second, variance))


def log_hastings_split(
    first: Statistics, second: Statistics, variance: PerRegion, alpha: float
) -> PerRegion:
    """Log of the published split ratio ``alpha G(n1) m1 G(n2) m2 / (G(n) m)``, G = gamma function.

    References:
        Chang and Fisher III, "Parallel Sampling of DP Mixture Models using Sub-Cluster Splits",
        NIPS 2013.
    """
    parts = _log_weight(first, variance) + _log_weight(second, variance)
    return np.asarray(np.log(alpha) + parts - _log_weight(first + second, variance))


def log_hastings_merge(
    first: Statistics, second: Statistics, variance: PerRegion, alpha: float
) -> PerRegion:
    """Log of the published merge ratio.

    ``G(n) m G(alpha) G(alpha/2 + n1) G(alpha/2 + n2)`` over ``alpha G(n1) m1 G(n2) m2 G(alpha +
    n) G(alpha/2)^2``.
    """
    n1, n2 = first[:, COUNT], second[:, COUNT]
    parts = _log_gamma(alpha / 2 + n1) + _log_gamma(alpha / 2 + n2) - 2 * _log_gamma(alpha / 2)
    gammas = _log_gamma(alpha) - _log_gamma(alpha + n1 + n2) + parts
    return np.asarray(gammas - log_hastings_split(first, second, variance, alpha))


def _log_weight(statistics: Statistics, variance: PerRegion) -> PerRegion:
    """``log(G(n) m)``: Dirichlet-process weight times marginal likelihood."""
    return np.asarray(_log_gamma(statistics[:, COUNT]) + full_log_marginal(statistics, variance))


def _log_gamma(value: float | PerRegion) -> PerRegion:
    return np.asarray(np.vectorize(math.lgamma, otypes=[np.float64])(value))


F = TypeVar("F", bound=Callable[..., Any])


def cached_njit(function: F) -> F:
    """Compiles a function on its first call; keeps the code on disk; releases the interpreter lock.

    The code is beside the source or in the user's cache folder (``NUMBA_CACHE_DIR`` overrides).
    """
    # A kernel must not call a kernel of another file: numba checks only the file of the caller
    # when it decides whether cached code is out of date.
    try:
        compiled: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available": no folder can be written, so no cache
        compiled = njit(nogil=True)(function)
    return compiled
