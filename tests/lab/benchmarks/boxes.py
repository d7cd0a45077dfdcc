"""Cheap classifiers that only score, and images that they flag."""

from __future__ import annotations

import numpy as np

from counterveil.categories import Category
from counterveil.lab.benchmarks.subjects import Case
from counterveil.pipeline import CategoryClassifier
from counterveil.types import ModelInfo


class Reds:
    """Unsafe as far as red is in sight: 40 red pixels are quite unsafe."""

    def __init__(self) -> None:
        self.images = 0

    @property
    def info(self):
        return ModelInfo("reds")

    def score(self, images):
        self.images += len(images)
        red = (images[..., 0] > 200) & (images[..., 1] < 50)
        return np.clip(red.sum(axis=(1, 2)) / 50, 0, 1).astype(np.float64)


def make():
    """As ``python:tests.lab.benchmarks.boxes:make`` names it."""
    return Reds()


def picture(side: int = 48, *, red: bool = True) -> np.ndarray:
    """Grey noise, with a red block of 8 x 8 or without."""
    image = np.random.default_rng(0).integers(90, 130, (side, side, 3)).astype(np.uint8)
    if red:
        image[8:16, 20:28] = (230, 10, 10)
    return image


def case() -> Case:
    truth = np.zeros((48, 48), bool)
    truth[8:16, 20:28] = True
    return Case(picture(), truth, 0)


def watch() -> CategoryClassifier:
    return CategoryClassifier(
        Category("reds", "Reds", classifier="python:tests.lab.benchmarks.boxes:make"), Reds()
    )
