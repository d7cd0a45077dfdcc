"""Calibration of a classifier's scores by a shift of its logit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from counterveil.classifiers.architectures import build_network
from counterveil.lab.training.evaluation import MAX_SHIFT, fit_logit_shift, shift_output_bias


def shifted_scores(offset, count=4000, seed=0):
    """Scores with logits that are too low by ``offset``, and their labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, count)
    unsafe = rng.random(count) < 1 / (1 + np.exp(-logits))
    return 1 / (1 + np.exp(-(logits - offset))), unsafe


@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.7, 2.0])
def test_the_offset_is_fitted(offset):
    assert fit_logit_shift(*shifted_scores(offset)) == pytest.approx(offset, abs=0.15)


def test_a_higher_false_negative_cost_flags_more():
    scores, unsafe = shifted_scores(0.0)
    shifts = [fit_logit_shift(scores, unsafe, false_negative_cost=cost) for cost in (1, 4)]
    assert shifts[1] > shifts[0] + 0.8
    missed = [(unsafe & (scores < 1 / (1 + np.exp(shift)))).sum() for shift in shifts]
    assert missed[1] < 0.6 * missed[0]


def test_the_shift_is_bounded():
    assert abs(fit_logit_shift(np.full(50, 1e-12), np.ones(50, bool))) <= MAX_SHIFT + 1e-6


def test_the_output_bias_is_shifted_and_nothing_else_changes():
    torch.manual_seed(0)
    module = build_network("slim").eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = module(pixels)
        module.load_state_dict(shift_output_bias(module.state_dict(), module, 1.25))
        after = module(pixels)
    difference = (after[:, 1] - after[:, 0]) - (before[:, 1] - before[:, 0])
    assert torch.allclose(difference, torch.full((2,), 1.25), atol=1e-5)
    assert torch.allclose(after.sum(1), before.sum(1), atol=1e-5)
