"""Classifiers with a known truth: the more of a colour is visible, the more unsafe."""

from __future__ import annotations

import time

import numpy as np

from counterveil.categories import Category
from counterveil.config import make_config
from counterveil.pipeline import CategoryClassifier, Pipeline
from counterveil.profiles import make_components
from counterveil.types import Images, ModelInfo, Scores

RED, BLUE = (220, 20, 20), (20, 20, 220)


class ColourDetector:
    """P(unsafe) rises with the share of the image in a colour; 0.5 at half a percent."""

    def __init__(self, colour: tuple[int, int, int], at: float = 0.005) -> None:
        self.info = ModelInfo(f"python:tests:colour-{colour}", "1")
        self._colour = np.array(colour)
        self._at = at

    def score(self, images: Images) -> Scores:
        near = (np.abs(images.astype(int) - self._colour).sum(axis=-1) < 90).mean(axis=(1, 2))
        return near / (near + self._at)


class Constant:
    """Always the same score."""

    def __init__(self, score: float) -> None:
        self.info = ModelInfo("python:tests:constant", "1")
        self._score = score

    def score(self, images: Images) -> Scores:
        return np.full(len(images), self._score)


class Broken:
    """Fails like a bug."""

    info = ModelInfo("python:tests:broken", "1")

    def score(self, images: Images) -> Scores:
        raise ZeroDivisionError("division by zero")


def scored(key: str, classifier: object, threshold: float = 0.5) -> CategoryClassifier:
    """A category with one of the classifiers above."""
    category = Category(key, key.title(), threshold=threshold, classifier="python:tests:made")
    return CategoryClassifier(category, classifier)  # type: ignore[arg-type]


def make_pipeline(*classifiers: CategoryClassifier, reasoner: object = None, **options) -> Pipeline:
    """A pipeline without trained models; ``options`` are fields of the configuration."""
    if reasoner is not None:
        options["reasoner"] = "python:tests:reasoner"
    options = {"name": "test", "notice": "a test", "attribution": "occlusion", **options}
    config = make_config(**options)
    return Pipeline(classifiers, make_components(config), config=config, reasoner=reasoner)


def square(
    colour: tuple[int, int, int] = RED,
    *,
    size: tuple[int, int] = (96, 128),
    at: tuple[int, int] = (30, 40),
    side: int = 24,
    image: np.ndarray | None = None,
) -> np.ndarray:
    """A grey, slightly noisy picture with a coloured square."""
    if image is None:
        noise = np.random.default_rng(0).integers(-6, 7, (*size, 1))
        image = np.clip(150 + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)
    image[at[0] : at[0] + side, at[1] : at[1] + side] = colour
    return image


def make_red() -> ColourDetector:
    """A factory, as ``python:tests.pipeline.detectors:make_red`` names it."""
    return ColourDetector(RED)


class SlowDetector(ColourDetector):
    """Takes its time, so that a test can act while a run is under way."""

    def score(self, images: Images) -> Scores:
        time.sleep(0.05)
        return super().score(images)


def make_slow() -> SlowDetector:
    """A factory, as ``python:tests.pipeline.detectors:make_slow`` names it."""
    return SlowDetector(RED)
