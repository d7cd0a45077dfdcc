"""Scores set right: by as much as the likelihood asks for, and no more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from counterveil.classifiers.architectures import build_network
from counterveil.lab.training.calibration import MOST, shift, shifted


def drawn(offset, count=4000, seed=0):
    """Scores whose logits are off by ``offset``, and the truth that they are about."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, count)
    unsafe = rng.random(count) < 1 / (1 + np.exp(-logits))
    return 1 / (1 + np.exp(-(logits - offset))), unsafe


@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.7, 2.0])
def test_an_offset_is_found(offset):
    assert shift(*drawn(offset)) == pytest.approx(offset, abs=0.15)


def test_who_minds_misses_more_flags_more():
    scores, unsafe = drawn(0.0)
    equal, minded = shift(scores, unsafe), shift(scores, unsafe, misses=4)
    assert minded > equal + 0.8
    missed = [(unsafe & (scores < 1 / (1 + np.exp(by)))).sum() for by in (equal, minded)]
    assert missed[1] < 0.6 * missed[0]


def test_it_never_goes_further_than_it_may():
    assert abs(shift(np.full(50, 1e-12), np.ones(50, bool))) <= MOST + 1e-6


def test_weights_are_shifted_by_as_much_and_nothing_else_changes():
    torch.manual_seed(0)
    module = build_network("slim").eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = module(pixels)
        module.load_state_dict(shifted(module.state_dict(), module, 1.25))
        after = module(pixels)
    moved = (after[:, 1] - after[:, 0]) - (before[:, 1] - before[:, 0])
    assert torch.allclose(moved, torch.full((2,), 1.25), atol=1e-5)
    assert torch.allclose(after.sum(1), before.sum(1), atol=1e-5)
