"""Accuracy of a trained classifier, and calibration of its scores."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.progress import track as rich_track
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from counterveil.lab.training.dataset import ImageArrays
from counterveil.types import Classifier

MAX_SHIFT = 4.0
"""Largest calibration shift, in logits; a network that needs more has not learned the task."""
_BATCH = 64


def predict(classifier: Classifier, arrays: ImageArrays) -> np.ndarray:
    """P(unsafe) of each image, ``(N,)``."""
    starts = range(0, len(arrays), _BATCH)
    parts = [classifier.score(np.asarray(arrays.images[i : i + _BATCH])) for i in starts]
    return np.concatenate(parts)


def accuracy_by_group(classifier: Classifier, arrays: ImageArrays) -> dict[str, float]:
    """Accuracy at threshold 0.5, for each group and as ``all``.

    ``all`` leaves out the group ``other`` (scenes of other categories).
    """
    correct = (predict(classifier, arrays) >= 0.5) == arrays.unsafe
    groups = np.array(arrays.groups)
    result = {"all": float(correct[groups != "other"].mean())}
    for group in dict.fromkeys(arrays.groups):
        result[group] = float(correct[groups == group].mean())
    return result


def accuracy_under_masks(classifier: Classifier, arrays: ImageArrays) -> dict[str, float]:
    """Shares of unsafe images that are scored correctly with black veils over two kinds of regions.

    Over every unsafe object, the image should be safe; over the same area elsewhere, still unsafe.
    Empty without instance maps.
    """
    unsafe = np.flatnonzero(arrays.unsafe & arrays.instance_maps.any(axis=(1, 2)))
    if not len(unsafe):
        return {}
    objects_veiled, others_veiled = [], []
    for start in range(0, len(unsafe), _BATCH):
        batch = unsafe[start : start + _BATCH]
        images, objects = arrays.images[batch], arrays.instance_maps[batch] > 0
        # The same shape, half an image lower: equal area, but no unsafe pixel.
        others = np.roll(objects, objects.shape[1] // 2, axis=1) & ~objects
        objects_veiled.append(_veiled_scores(classifier, images, objects) < 0.5)
        others_veiled.append(_veiled_scores(classifier, images, others) >= 0.5)
    return {
        "safe_when_unsafe_objects_veiled": float(np.concatenate(objects_veiled).mean()),
        "unsafe_when_other_regions_veiled": float(np.concatenate(others_veiled).mean()),
    }


def _veiled_scores(classifier: Classifier, images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return classifier.score(np.where(masks[..., None], np.uint8(0), images))


def fit_logit_shift(
    scores: np.ndarray, unsafe: np.ndarray, *, false_negative_cost: float = 1.0
) -> float:
    """Maximum-likelihood shift of the unsafe logit, in ``[-MAX_SHIFT, MAX_SHIFT]``.

    Mask augmentation hides at least half of most training images, and few of those stay unsafe.
    The network therefore underestimates P(unsafe) of small objects. A shift corrects the prior
    and leaves the ranking of images unchanged.

    Args:
        scores: P(unsafe), ``(N,)``.
        unsafe: labels, ``(N,)`` bool.
        false_negative_cost: weight of an unsafe image relative to a safe one.

    References:
        Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities",
        2002; the shift alone of Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    clipped = np.clip(scores, 1e-9, 1 - 1e-9)
    logits = np.log(clipped) - np.log1p(-clipped)
    weight = np.where(unsafe, false_negative_cost, 1.0)

    def negative_log_likelihood(shift: float) -> float:
        margins = np.where(unsafe, -1, 1) * (logits + shift)
        return float((weight * np.logaddexp(0, margins)).mean())

    bounds = (-MAX_SHIFT, MAX_SHIFT)
    return float(minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded").x)


def shift_output_bias(
    state: dict[str, Tensor], module: nn.Module, shift: float
) -> dict[str, Tensor]:
    """A copy of the weights with the shift added to the last bias (safe, unsafe).

    Half of it is taken from the safe logit and half is given to the unsafe one, so that the sum
    of both logits is unchanged.
    """
    last = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1]
    bias = state[f"{last}.bias"]
    change = torch.tensor([-shift / 2, shift / 2], dtype=bias.dtype)
    return {**state, f"{last}.bias": bias + change}


T = TypeVar("T")


class OneCycleAdamW:
    """AdamW with a one-cycle learning rate and gradient clipping.

    Args:
        parameters: to optimize.
        learning_rate: peak of the cycle.
        total_steps: of the cycle.
        warmup: share of the steps before the peak, in ``[0, 1]``.
        weight_decay: of AdamW.
        clip: parameters whose joint gradient norm is limited to ``max_norm``.
        max_norm: that limit.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        total_steps: int,
        warmup: float,
        weight_decay: float = 0.05,
        clip: Iterable[nn.Parameter] = (),
        max_norm: float = 1.0,
    ) -> None:
        self._clip, self._max_norm = list(clip), max_norm
        self._optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, learning_rate, total_steps=total_steps, pct_start=warmup
        )

    def step(self, loss: Tensor) -> None:
        """Backpropagate a scalar loss and update the parameters."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip:
            nn.utils.clip_grad_norm_(self._clip, self._max_norm)
        self._optimizer.step()
        self._schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer and of the schedule."""
        return {"optimizer": self._optimizer.state_dict(), "schedule": self._schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])


def autocast(precision: str, device: str = "cpu") -> AbstractContextManager[Any]:
    """Context of one forward pass in ``bfloat16`` or ``float32``.

    Not of several: autocast caches the cast weights while it is active, so that later steps
    would still use the weights of the first.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def terminal_progress() -> Progress:
    """Progress bars on standard error; disabled if that is not a terminal."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """The same items, with a progress bar if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return items
    return rich_track(items, description, total=total, console=console)
