"""Classifiers with a known truth: unsafe as much as a colour is in sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from counterveil import profiles
from counterveil.categories import Category
from counterveil.pipeline import CategoryClassifier, Pipeline, Settings
from counterveil.types import Images, ModelInfo, Scores

RED, BLUE = (220, 20, 20), (20, 20, 220)


class Sees:
    """P(unsafe) rises with the share of the image in a colour; 0.5 at half a percent."""

    def __init__(self, colour: tuple[int, int, int], at: float = 0.005) -> None:
        self.info = ModelInfo(f"python:tests:sees-{colour}", "1")
        self._colour = np.array(colour)
        self._at = at

    def score(self, images: Images) -> Scores:
        near = (np.abs(images.astype(int) - self._colour).sum(axis=-1) < 90).mean(axis=(1, 2))
        return near / (near + self._at)


class Constant:
    """Always as sure."""

    def __init__(self, score: float) -> None:
        self.info = ModelInfo("python:tests:constant", "1")
        self._score = score

    def score(self, images: Images) -> Scores:
        return np.full(len(images), self._score)


class Broken:
    """Fails as a bug would."""

    info = ModelInfo("python:tests:broken", "1")

    def score(self, images: Images) -> Scores:
        raise ZeroDivisionError("division by zero")


def watch(key: str, classifier: object) -> CategoryClassifier:
    category = Category(key, key.title(), classifier="python:tests:made")
    return CategoryClassifier(category, classifier)  # type: ignore[arg-type]


def counterveil(
    *watches: CategoryClassifier, settings: Settings | None = None, fill: str = "black", **words
):
    chosen = replace(profiles.PROFILES["proxy"], attribution="occlusion", fill=fill, **words)
    return Pipeline(
        watches,
        profiles.methods(chosen),
        settings=settings or Settings(),
        profile="test",
        notice="a test",
    )


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


def make_red() -> Sees:
    """A factory, as ``python:tests.pipeline.detectors:make_red`` names it."""
    return Sees(RED)
