"""Make P(yes) mean what it says: fit its scale and shift on validation images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from counterveil.images import load
from counterveil.lab.training.reasoner.examples import Example
from counterveil.lab.training.reasoner.lessons import Mix, code_of
from counterveil.reasoning.conditional import ConditionalBlip

BATCH = 16
_SPREAD = 1.0
"""Of the prior on the logarithm of the scale, around 0: a model is taken at its word until there
is evidence against it."""
_LEAN = 2.0
"""Of the prior on the shift, around 0."""
MOST_SCALE, MOST_SHIFT = 20.0, 10.0
"""Never further than this; a model that needs more has not learnt."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Questions of yes or no that were asked of examples.

    Attributes:
        odds: log-odds of yes, ``(N,)``.
        wanted: whether it is so, ``(N,)`` bool.
    """

    odds: np.ndarray
    wanted: np.ndarray

    def measures(self) -> dict[str, float]:
        """How many answers, the share right, the mean of both sides', the log-likelihood."""
        right = (self.odds >= 0) == self.wanted
        sides = [right[self.wanted], right[~self.wanted]]
        signs = np.where(self.wanted, -1.0, 1.0)
        return {
            "answers": len(right),
            "right": float(right.mean()),
            "right, yes and no alike": float(np.mean([side.mean() for side in sides if len(side)])),
            "loss of P(yes)": float(np.logaddexp(0, signs * self.odds).mean()),
        }


def ask(
    blip: ConditionalBlip,
    examples: Sequence[Example],
    mix: Mix,
    *,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Asked:
    """Ask everything that is answered by yes or no, under codes as in training."""
    rng = np.random.default_rng([seed, 5])
    odds: list[float] = []
    wanted: list[bool] = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        asked = [[a for a in example.truth.answers if a.yes is not None] for example in batch]
        codes = [code_of(e.truth.flagged, blip.control_config.categories, mix, rng) for e in batch]
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
    return Asked(np.array(odds, float), np.array(wanted, bool))


def calibrate(
    blip: ConditionalBlip,
    examples: Sequence[Example],
    mix: Mix,
    *,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Fit and set the scale and shift of P(yes) on validation images; returns them."""
    blip.calibrate(1.0, 0.0)
    asked = ask(blip, examples, mix, seed=seed, step=step)
    scale, shift = fit(asked.odds, asked.wanted)
    blip.calibrate(scale, shift)
    return scale, shift


def fit(odds: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Scale and shift of log-odds ``(N,)`` that are likeliest given ``wanted`` ``(N,)``.

    A few answers, all of them right, would have any scale made larger still. So the targets are
    Platt's, short of 0 and 1 by what so many answers leave open, and scale and shift have a prior
    whose weight is that of one answer.

    References:
        Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
    """
    yes, no = int(wanted.sum()), int((~wanted).sum())
    if not yes or not no:
        return 1.0, 0.0
    target = np.where(wanted, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: np.ndarray) -> float:
        log_scale, shift = parameters
        z = np.exp(log_scale) * odds + shift
        unlikely = (np.logaddexp(0, z) - target * z).sum()
        return float(unlikely + (log_scale / _SPREAD) ** 2 / 2 + (shift / _LEAN) ** 2 / 2)

    most = float(np.log(MOST_SCALE))
    bounds = ((-most, most), (-MOST_SHIFT, MOST_SHIFT))
    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(found[0])), float(found[1])


def _log_odds(p: float | None) -> float:
    assert p is not None  # ConditionalBlip answers every question
    clipped = min(max(p, 1e-9), 1 - 1e-9)
    return float(np.log(clipped) - np.log1p(-clipped))
