"""Accuracy of a trained classifier, and calibration of its scores."""

from __future__ import annotations

import numpy as np
import torch
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
