"""How good a classifier is, by group of images."""

from __future__ import annotations

import numpy as np

from counterveil.lab.training.data import Arrays
from counterveil.types import Classifier


def scores(classifier: Classifier, arrays: Arrays, *, batch: int = 64) -> np.ndarray:
    """P(unsafe) of each image, ``(N,)``."""
    starts = range(0, len(arrays), batch)
    parts = [classifier.score(np.asarray(arrays.images[i : i + batch])) for i in starts]
    return np.concatenate(parts)


def accuracy_by_group(
    classifier: Classifier, arrays: Arrays, *, threshold: float = 0.5
) -> dict[str, float]:
    """Share of right decisions, in all (the category's own images) and a group."""
    right = (scores(classifier, arrays) >= threshold) == arrays.unsafe
    groups = np.array(arrays.groups)
    result = {"all": float(right[groups != "other"].mean())}
    for group in dict.fromkeys(arrays.groups):
        result[group] = float(right[groups == group].mean())
    return result


def veiled_safe(classifier: Classifier, arrays: Arrays) -> dict[str, float]:
    """Decisions under veils: over every unsafe object, and over as much of what is safe."""
    unsafe = np.flatnonzero(arrays.unsafe & arrays.objects.any(axis=(1, 2)))
    if not len(unsafe):
        return {}
    hidden, kept = [], []
    for start in range(0, len(unsafe), 64):
        chosen = unsafe[start : start + 64]
        images, inside = arrays.images[chosen], arrays.objects[chosen] > 0
        elsewhere = np.roll(inside, inside.shape[1] // 2, axis=1) & ~inside
        hidden.append(classifier.score(np.where(inside[..., None], np.uint8(0), images)) < 0.5)
        kept.append(classifier.score(np.where(elsewhere[..., None], np.uint8(0), images)) >= 0.5)
    return {
        "safe once every unsafe object is veiled": float(np.concatenate(hidden).mean()),
        "unsafe still when other parts are veiled": float(np.concatenate(kept).mean()),
    }
