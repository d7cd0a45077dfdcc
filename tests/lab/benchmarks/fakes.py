"""A cheap classifier without gradients, and images that it flags."""

from __future__ import annotations

import numpy as np

from counterveil.categories import Category
from counterveil.lab.benchmarks.datasets import FlaggedImage
from counterveil.pipeline import CategoryClassifier
from counterveil.types import Box, ModelInfo


class RedClassifier:
    """P(unsafe) is the number of red pixels over 50; counts the images it scores."""

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
    """Factory for the spec ``python:tests.lab.benchmarks.fakes:make``."""
    return RedClassifier()


def picture(side: int = 48, *, red: bool = True) -> np.ndarray:
    """Grey noise, with a red block of 8 x 8 or without."""
    image = np.random.default_rng(0).integers(90, 130, (side, side, 3)).astype(np.uint8)
    if red:
        image[8:16, 20:28] = (230, 10, 10)
    return image


def flagged_image() -> FlaggedImage:
    truth = np.zeros((48, 48), bool)
    truth[8:16, 20:28] = True
    return FlaggedImage(picture(), truth, 0)


def red_category() -> CategoryClassifier:
    return CategoryClassifier(
        Category("reds", "Reds", classifier="python:tests.lab.benchmarks.fakes:make"),
        RedClassifier(),
    )


class RedDetector(RedClassifier):
    """A red classifier that also says where: the box around all red pixels."""

    def boxes(self, image):
        red = (image[..., 0] > 200) & (image[..., 1] < 50)
        if not red.any():
            return ()
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        return (Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, 0.9),)


def make_detector():
    """Factory for the spec ``python:tests.lab.benchmarks.fakes:make_detector``."""
    return RedDetector()
