"""Split and merge acceptance against the formulas, computed from pixels one at a time."""

import math
from fractions import Fraction

import numpy as np
import pytest

from counterveil.segmentation.bass import evidence
from counterveil.segmentation.bass.model import Model
from counterveil.segmentation.bass.proposals import Proposals
from counterveil.segmentation.bass.statistics import sum_up

STD, A0 = 0.018, 1e4


def two_groups(n1, n2, gap, seed=0, attribution_map=0.0):
    """Pixels of two groups whose colours differ by `gap` a channel, and their sums."""
    rng = np.random.default_rng(seed)
    planes = rng.normal(0.5, 0.02, (1, n1 + n2, 4)).astype(np.float32)
    planes[0, n1:, :3] += np.float32(gap)
    planes[..., 3] = attribution_map
    labels = np.repeat([0, 1], [n1, n2]).astype(np.int32)[None]
    sums = sum_up(labels, planes, 2)
    pixels = planes[0, :, :3].astype(np.float64)
    return pixels[:n1], pixels[n1:], sums[:1], sums[1:]


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
def test_the_marginal_ratio_is_its_formula(n1, n2, gap):
    one, two, first, second = two_groups(n1, n2, gap)
    expected = marginal(one) + marginal(two) - marginal(np.concatenate([one, two]))
    found = evidence.marginal_ratio(first, second, np.array([STD]))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n1", "n2", "gap"), GROUPS)
def test_the_hastings_ratios_are_their_formulas(n1, n2, gap):
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
        evidence.hastings_split(first, second, variance, alpha), split, rtol=1e-6, atol=1e-5
    )
    np.testing.assert_allclose(
        evidence.hastings_merge(first, second, variance, alpha), merge, rtol=1e-6, atol=1e-5
    )


def test_the_gamma_functions_of_small_counts_are_factorials():
    _, _, first, second = two_groups(3, 4, 0.1)
    variance = np.array([STD])
    ratio = evidence.hastings_split(first, second, variance, 1.0)
    m = evidence.full_marginal
    colours = m(first, variance) + m(second, variance) - m(first + second, variance)
    counts = Fraction(math.factorial(2) * math.factorial(3), math.factorial(6))
    np.testing.assert_allclose(ratio - colours, math.log(counts), rtol=1e-6)


def threshold(n1, n2, allowance):
    """The gap at which the difference between groups costs as much as a region does."""
    share = n1 * n2 / (n1 + n2)
    return math.sqrt(2 * STD * (1.5 * math.log(share) + allowance) / share / 3)


def exact_groups(n1, n2, gap):
    planes = np.zeros((1, n1 + n2, 4), dtype=np.float32)
    planes[0, n1:, :3] = gap
    labels = np.repeat([0, 1], [n1, n2]).astype(np.int32)[None]
    sums = sum_up(labels, planes, 2)
    return Proposals(sums[:1], sums[1:], Model(), usual=np.array([n1 + n2]))


@pytest.mark.parametrize(("n1", "n2"), [(50, 50), (30, 90)])
def test_a_split_is_accepted_from_the_published_threshold_on(n1, n2):
    gap = threshold(n1, n2, -2)
    assert not exact_groups(n1, n2, 0.97 * gap).split(None)[0]
    assert exact_groups(n1, n2, 1.03 * gap).split(None)[0]


@pytest.mark.parametrize(("n1", "n2"), [(50, 50), (30, 90)])
def test_a_merge_is_accepted_up_to_the_published_threshold(n1, n2):
    gap = threshold(n1, n2, 2 - math.log(0.5))
    assert exact_groups(n1, n2, 0.97 * gap).merge(None)[0]
    assert not exact_groups(n1, n2, 1.03 * gap).merge(None)[0]


def test_guidance_makes_splits_easier_and_merges_harder():
    def gain(attribution_map, weight=1.0):
        _, _, first, second = two_groups(60, 60, 0.02, attribution_map=attribution_map)
        return Proposals(
            first, second, Model(guidance_weight=weight), usual=np.array([100.0])
        ).gain[0]

    assert gain(0.0) < gain(0.5) < gain(1.0)
    assert gain(1.0, weight=0.0) == gain(0.0)
