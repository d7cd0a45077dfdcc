"""ROAD: what the score loses when pixels are removed so that nothing betrays where they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.lab.benchmarks.erasure import Order
from counterveil.lab.benchmarks.imputation import NOISE, impute
from counterveil.types import Image, ScoreFunction

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the pixels, removed."""


@dataclass(frozen=True)
class Road:
    """Mean of P(unsafe) after the removal minus before, over the shares.

    Attributes:
        morf: most relevant pixels first; low is good.
        lerf: least relevant first; high (near 0) is good.
    """

    morf: float
    lerf: float

    @property
    def combined(self) -> float:
        """``(lerf - morf) / 2``; high is good, and 0 is chance."""
        return (self.lerf - self.morf) / 2


def road(
    image: Image,
    score: ScoreFunction,
    order: Order,
    *,
    rng: np.random.Generator,
    shares: Sequence[float] = SHARES,
    noise: float = NOISE,
) -> Road:
    """Remove and debias, without retraining.

    Args:
        image: that is unsafe.
        score: of images.
        order: of its pixels, hottest first.
        rng: of the noise.
        shares: of the pixels that are removed, each below 1.
        noise: of the imputation.

    References:
        Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
        ICML 2022. The combination is pytorch-grad-cam's ``ROADCombined``.
    """
    drops = []
    for pixels in (order, order[::-1]):
        removed = [_removed(image, pixels, share, rng, noise) for share in shares]
        scores = score(np.stack([image, *removed]))
        drops.append(float(np.mean(scores[1:] - scores[0])))
    return Road(*drops)


def _removed(
    image: Image, pixels: Order, share: float, rng: np.random.Generator, noise: float
) -> Image:
    hidden = np.zeros(image.shape[0] * image.shape[1], bool)
    hidden[pixels[: round(share * len(pixels))]] = True
    return impute(image, hidden.reshape(image.shape[:2]), rng=rng, noise=noise)
