"""Acceptance of splits and merges, compared with the formulas on single pixels."""

import math
from fractions import Fraction

import numpy as np
import pytest

from counterveil.segmentation.bass import model
from counterveil.segmentation.bass.border_moves import sufficient_statistics
from counterveil.segmentation.bass.model import Hyperparameters
from counterveil.segmentation.bass.split_merge import Proposals

STD, A0 = 0.018, 1e4


def two_groups(n1, n2, gap, seed=0, guidance=0.0):
    """Pixels of two groups whose colours differ by `gap` a channel, and their statistics."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0.5, 0.02, (1, n1 + n2, 4)).astype(np.float32)
    features[0, n1:, :3] += np.float32(gap)
    features[..., 3] = guidance
    labels = np.repeat([0, 1], [n1, n2]).astype(np.int32)[None]
    statistics = sufficient_statistics(labels, features, 2)
    pixels = features[0, :, :3].astype(np.float64)
    return pixels[:n1], pixels[n1:], statistics[:1], statistics[1:]


def marginal(pixels, full=False):
    n, a_n, b0 = len(pixels), A0 + len(pixels) / 2, STD * A0
    total = 0.0
    for channel in pixels.T:
        b_n = b0 + (sum(v * v for v in channel) - sum(channel) ** 2 / n) / 2
        total += -a_n * math.log(b_n / b0) - math.log(n) / 2
        if full:
            total += math.lgamma(a_n) - math.lgamma(A0) - n / 2 * math.log(2 * math.pi * b0)
    return total


GROUPS = [(5, 9, 0.0), (60, 40, 0.05), (200, 31, 0.3), (1, 1, 0.01)]


@pytest.mark.parametrize(("n1", "n2", "gap"), GROUPS)
def test_the_bayes_factor_follows_its_formula(n1, n2, gap):
    one, two, first, second = two_groups(n1, n2, gap)
    expected = marginal(one) + marginal(two) - marginal(np.concatenate([one, two]))
    found = model.log_bayes_factor(first, second, np.array([STD]))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n1", "n2", "gap"), GROUPS)
def test_the_hastings_ratios_follow_their_formulas(n1, n2, gap):
    one, two, first, second = two_groups(n1, n2, gap)
    m1, m2 = marginal(one, full=True), marginal(two, full=True)
    m = marginal(np.concatenate([one, two]), full=True)
    n, alpha, g = n1 + n2, 0.7, math.lgamma
    split = math.log(alpha) + g(n1) + m1 + g(n2) + m2 - g(n) - m
    merge = (
        g(n) + m + g(alpha) + g(alpha / 2 + n1) + g(alpha / 2 + n2)
        - math.log(alpha) - g(n1) - m1 - g(n2) - m2 - g(alpha + n) - 2 * g(alpha / 2)
    )  # fmt: skip
    variance = np.array([STD])
    np.testing.assert_allclose(
        model.log_hastings_split(first, second, variance, alpha), split, rtol=1e-6, atol=1e-5
    )
    np.testing.assert_allclose(
        model.log_hastings_merge(first, second, variance, alpha), merge, rtol=1e-6, atol=1e-5
    )


def test_gamma_functions_of_small_counts_are_factorials():
    _, _, first, second = two_groups(3, 4, 0.1)
    variance = np.array([STD])
    ratio = model.log_hastings_split(first, second, variance, 1.0)
    m = model.full_log_marginal
    colours = m(first, variance) + m(second, variance) - m(first + second, variance)
    counts = Fraction(math.factorial(2) * math.factorial(3), math.factorial(6))
    np.testing.assert_allclose(ratio - colours, math.log(counts), rtol=1e-6)


def threshold(n1, n2, allowance):
    """The colour difference at which one region and two are equally good."""
    share = n1 * n2 / (n1 + n2)
    return math.sqrt(2 * STD * (1.5 * math.log(share) + allowance) / share / 3)


def exact_groups(n1, n2, gap):
    features = np.zeros((1, n1 + n2, 4), dtype=np.float32)
    features[0, n1:, :3] = gap
    labels = np.repeat([0, 1], [n1, n2]).astype(np.int32)[None]
    statistics = sufficient_statistics(labels, features, 2)
    return Proposals(
        statistics[:1], statistics[1:], Hyperparameters(), mean_area=np.array([n1 + n2])
    )


@pytest.mark.parametrize(("n1", "n2"), [(50, 50), (30, 90)])
def test_a_split_is_accepted_above_the_published_threshold(n1, n2):
    gap = threshold(n1, n2, -2)
    assert not exact_groups(n1, n2, 0.97 * gap).accept_split(None)[0]
    assert exact_groups(n1, n2, 1.03 * gap).accept_split(None)[0]


@pytest.mark.parametrize(("n1", "n2"), [(50, 50), (30, 90)])
def test_a_merge_is_accepted_below_the_published_threshold(n1, n2):
    gap = threshold(n1, n2, 2 - math.log(0.5))
    assert exact_groups(n1, n2, 0.97 * gap).accept_merge(None)[0]
    assert not exact_groups(n1, n2, 1.03 * gap).accept_merge(None)[0]


def test_guidance_makes_splits_easier_and_merges_harder():
    def gain(guidance, weight=1.0):
        _, _, first, second = two_groups(60, 60, 0.02, guidance=guidance)
        return Proposals(
            first, second, Hyperparameters(guidance_weight=weight), mean_area=np.array([100.0])
        ).gain[0]

    assert gain(0.0) < gain(0.5) < gain(1.0)
    assert gain(1.0, weight=0.0) == gain(0.0)
