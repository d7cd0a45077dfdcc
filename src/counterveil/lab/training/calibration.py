"""Set the score right for images without veils, once a network is trained."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

MOST = 4.0
"""Largest shift, in logits; a network that needs more has not learnt."""


def shift(scores: np.ndarray, unsafe: np.ndarray, *, misses: float = 1.0) -> float:
    """What to add to the logit of ``scores`` ``(N,)`` for the likelihood of ``unsafe`` ``(N,)``.

    Most images of a training with veils are at least half hidden and seldom unsafe, so a network
    doubts what is small. How it ranks images is left as it is.

    Args:
        scores: P(unsafe).
        unsafe: the truth.
        misses: how much an unsafe image weighs, over a safe one.

    References:
        Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities",
        2002; the shift alone of Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    clipped = np.clip(scores, 1e-9, 1 - 1e-9)
    logits = np.log(clipped) - np.log1p(-clipped)

    weight = np.where(unsafe, misses, 1.0)

    def loss(by: float) -> float:
        return float((weight * np.logaddexp(0, np.where(unsafe, -1, 1) * (logits + by))).mean())

    return float(minimize_scalar(loss, bounds=(-MOST, MOST), method="bounded").x)


def shifted(state: dict[str, Tensor], module: nn.Module, by: float) -> dict[str, Tensor]:
    """Weights of a network of two logits, safe and unsafe, with a shift in its last bias."""
    last = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1]
    bias = state[f"{last}.bias"]
    return {**state, f"{last}.bias": bias + torch.tensor([-by / 2, by / 2], dtype=bias.dtype)}
