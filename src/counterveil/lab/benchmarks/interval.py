"""How sure a mean is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval, of ``n`` values."""

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | None]:
        """Plain numbers, rounded to five places; ``None`` where there were no values."""
        bounds = {"mean": self.mean, "low": self.low, "high": self.high}
        return {k: round(v, 5) if self.n else None for k, v in bounds.items()} | {"n": self.n}


def estimate(values: Sequence[float], *, draws: int = 1000, seed: int = 0) -> Estimate:
    """Mean and percentile bootstrap interval; NaN where there are no values."""
    array = np.asarray(values, float)
    if not len(array):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, len(array), (draws, len(array)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def ratio(
    above: Sequence[float], below: Sequence[float], *, draws: int = 1000, seed: int = 0
) -> Estimate:
    """Mean of ``above`` over mean of ``below``, pair by pair resampled; NaN without values."""
    pairs = np.stack([np.asarray(above, float), np.asarray(below, float)], axis=-1)
    if not len(pairs):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = pairs[rng.integers(0, len(pairs), (draws, len(pairs)))].mean(axis=1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    total = pairs.mean(axis=0)
    return Estimate(float(total[0] / total[1]), float(low), float(high), len(pairs))
