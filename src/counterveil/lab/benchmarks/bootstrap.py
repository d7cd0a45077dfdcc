"""Estimates with 95 % percentile bootstrap intervals, and inter-annotator agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int


@dataclass(frozen=True)
class Estimate:
    """A statistic of ``n`` observations with its 95 % interval; NaN where it is undefined."""

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | None]:
        """JSON data, rounded to five places; ``None`` for infinity, or without observations."""
        values = {"mean": self.mean, "low": self.low, "high": self.high}
        known = {k: round(v, 5) if self.n and not np.isinf(v) else None for k, v in values.items()}
        return known | {"n": self.n}


def bootstrap_mean(values: Sequence[float], *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean of the values."""
    array = np.asarray(values, float)
    if not len(array):
        return _undefined(0)
    drawn = _indices(len(array), resamples, np.random.default_rng(seed))
    return _estimate(array.mean(), array[drawn].mean(axis=1), len(array))


def bootstrap_ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Ratio of two means over the same items; the items are resampled."""
    pairs = np.stack([np.asarray(numerators, float), np.asarray(denominators, float)], axis=-1)
    if not len(pairs):
        return _undefined(0)
    drawn = _indices(len(pairs), resamples, np.random.default_rng(seed))
    means = pairs[drawn].mean(axis=1)
    mean = pairs.mean(axis=0)
    return _estimate(mean[0] / mean[1], means[:, 0] / means[:, 1], len(pairs))


def bootstrap_fall_ratio(
    falls: Sequence[float], others: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Ratio of two mean falls over the same items, where the second may be near zero or below.

    Where the second mean is not positive, the ratio is infinite if the first is positive, else
    zero. So an interval without an upper end means that the second cannot be told from zero.
    """
    pairs = np.stack([np.asarray(falls, float), np.asarray(others, float)], axis=-1)
    if not len(pairs):
        return _undefined(0)
    drawn = _indices(len(pairs), resamples, np.random.default_rng(seed))
    means = np.concatenate([pairs.mean(axis=0)[None], pairs[drawn].mean(axis=1)])
    ratios = np.where(means[:, 0] > 0, np.inf, 0.0)
    np.divide(means[:, 0], means[:, 1], out=ratios, where=means[:, 1] > 0)
    # No interpolation: between a number and infinity there is none.
    low, high = np.percentile(ratios[1:], [2.5, 97.5], method="nearest")
    return Estimate(float(ratios[0]), float(low), float(high), len(pairs))


def bootstrap_balanced_accuracy(
    correct: Bool[np.ndarray, " items"],
    positive: Bool[np.ndarray, " items"],
    *,
    resamples: int = 500,
) -> Estimate:
    """Mean of sensitivity and specificity; both classes are resampled separately."""
    rng = np.random.default_rng(0)
    classes = [correct[positive].astype(float), correct[~positive].astype(float)]
    if not all(len(values) for values in classes):
        return _undefined(len(correct))
    means = [values[_indices(len(values), resamples, rng)].mean(axis=1) for values in classes]
    mean = np.mean([values.mean() for values in classes])
    return _estimate(mean, np.mean(means, axis=0), len(correct))


def bootstrap_mean_balanced_accuracy(
    correct: Bool[np.ndarray, "scenes questions"],
    positive: Bool[np.ndarray, "scenes questions"],
    *,
    resamples: int = 1000,
) -> Estimate:
    """Mean over questions of their balanced accuracy.

    Scenes are resampled, so that the answers about one scene stay together.
    """
    count = len(correct)
    # Counts of each scene in each resample; the first row is the original sample.
    counts = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
    counts = np.concatenate([np.ones((1, count), int), counts])
    with np.errstate(invalid="ignore"):  # a resample without positives leaves the question out
        rates = [counts @ (correct & side) / (counts @ side) for side in (positive, ~positive)]
        accuracies = np.mean(rates, axis=0)
        known = ~np.isnan(accuracies)
        means = np.where(known, accuracies, 0).sum(axis=1) / known.sum(axis=1)
    return _estimate(means[0], means[1:], count)


def bootstrap_kappa(counts: Int[np.ndarray, "items verdicts"], *, resamples: int = 300) -> Estimate:
    """Fleiss' kappa; items are resampled."""
    kappa = fleiss_kappa(counts)
    if np.isnan(kappa):
        return _undefined(0)
    rng, items = np.random.default_rng(0), len(counts)
    drawn = [fleiss_kappa(counts[rng.integers(0, items, items)]) for _ in range(resamples)]
    resampled = np.array(drawn)
    return _estimate(kappa, resampled[~np.isnan(resampled)], items)


def fleiss_kappa(counts: Int[np.ndarray, "items verdicts"]) -> float:
    """Fleiss' kappa: 1 is full agreement, 0 is chance, NaN is undefined.

    ``kappa = (P - P_e) / (1 - P_e)``: ``P`` is the mean share of pairs of annotators that agree on
    an item, and ``P_e = sum_j p_j^2`` over the verdicts' shares. Items may have different numbers
    of annotators: ``p_j`` is then the mean of the items' shares. Items with fewer than two
    annotators have no pair and are left out.

    Args:
        counts: number of annotators per item and verdict.

    References:
        Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76,
        1971. Unequal numbers: Gwet, "Handbook of Inter-Rater Reliability", 2014, chapter 2.
    """
    table = counts[counts.sum(axis=1) >= 2].astype(float)
    if not len(table):
        return float("nan")
    raters = table.sum(axis=1, keepdims=True)
    agreement = (table * (table - 1)).sum(axis=1) / (raters * (raters - 1))[:, 0]
    chance = float(((table / raters).mean(axis=0) ** 2).sum())
    # If all verdicts are equal, agreement and chance agreement are both 1.
    if np.isclose(chance, 1):
        return float("nan")
    return float((agreement.mean() - chance) / (1 - chance))


def _indices(n: int, resamples: int, rng: np.random.Generator) -> Int[np.ndarray, "resamples n"]:
    indices: np.ndarray = rng.integers(0, n, (resamples, n))
    return indices


def _estimate(value: float, resampled: Float64[np.ndarray, " resamples"], n: int) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high), n)


def _undefined(n: int) -> Estimate:
    return Estimate(float("nan"), float("nan"), float("nan"), n)
