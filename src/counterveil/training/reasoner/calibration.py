"""Make P(yes) mean what it says: fit its scale and shift on validation images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

from counterveil.images import load
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.training.reasoner.examples import Example
from counterveil.training.reasoner.lessons import Mix, code_of

BATCH = 16


def calibrate(
    blip: ConditionalBlip,
    examples: Sequence[Example],
    mix: Mix,
    *,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Fit and set the scale and shift of P(yes), under codes as in training; returns them.

    References:
        Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    blip.calibrate(1.0, 0.0)
    rng = np.random.default_rng([seed, 5])
    odds: list[float] = []
    wanted: list[bool] = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        asked = [[a for a in example.truth.answers if a.yes is not None] for example in batch]
        codes = [code_of(e.truth.flagged, blip.spec.categories, mix, rng) for e in batch]
        answered = blip.answer(
            [load(example.image)[0].pixels for example in batch],
            [[answer.question for answer in answers] for answers in asked],
            codes,
            text=False,
        )
        for answers, said in zip(asked, answered, strict=True):
            wanted += [bool(answer.yes) for answer in answers]
            odds += [_log_odds(one.p_yes) for one in said]
        step()
    if len(set(wanted)) < 2:
        return 1.0, 0.0
    scale, shift = fit(np.array(odds), np.array(wanted))
    blip.calibrate(scale, shift)
    return scale, shift


def fit(odds: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Scale and shift of log-odds ``(N,)`` with the largest likelihood of ``wanted`` ``(N,)``."""
    signs = np.where(wanted, -1.0, 1.0)

    def loss(parameters: np.ndarray) -> float:
        return float(np.logaddexp(0, signs * (parameters[0] * odds + parameters[1])).mean())

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(found[0]), float(found[1])


def _log_odds(p: float | None) -> float:
    assert p is not None  # ConditionalBlip answers every question
    clipped = min(max(p, 1e-9), 1 - 1e-9)
    return float(np.log(clipped) - np.log1p(-clipped))
