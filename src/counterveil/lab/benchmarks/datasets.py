"""Datasets of the counterfactual benchmark: what they give, and drawn scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from counterveil import profiles
from counterveil.lab.scenes import draw_scene
from counterveil.pipeline import CategoryClassifier, Pipeline
from counterveil.types import Image, Mask


@dataclass(frozen=True, eq=False)
class FlaggedImage:
    """An image that a classifier flags.

    Attributes:
        image: ``(H, W, 3)``, at the resolution of the search.
        truth: mask of its unsafe objects; ``None`` if unknown.
        index: number of the scene, or of the file.
        score: P(unsafe) of the image; 0 where nobody asks.
    """

    image: Image
    truth: Mask | None
    index: int
    score: float = 0.0


class Dataset(Protocol):
    """A source of images that a classifier flags."""

    def flagged_images(self, classifier: CategoryClassifier, count: int) -> Sequence[FlaggedImage]:
        """The first ``count`` images that a classifier flags, or all if there are fewer."""
        ...


def flagged_scenes(
    category_classifier: CategoryClassifier,
    *,
    count: int,
    seed: int,
    position: str | None = None,
    split: str = "test",
) -> Iterator[FlaggedImage]:
    """Draw unsafe scenes of a category until its classifier has flagged ``count`` of them.

    Raises:
        RuntimeError: the classifier flags too few scenes.
    """
    key = category_classifier.category.key
    threshold = category_classifier.category.threshold
    found, index = 0, 0
    while found < count:
        scene = draw_scene(seed, index, split=split, category=key, kind="unsafe", position=position)
        if category_classifier.classifier.score(scene.pixels[None])[0] >= threshold:
            yield FlaggedImage(scene.pixels, scene.mask(key), index)
            found += 1
        index += 1
        if index > 20 * count + 100:
            raise RuntimeError(f"{key}: the classifier flags too few scenes to measure on")


class SceneDataset:
    """Drawn scenes of the split ``test``; each scene is drawn and scored once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cache: dict[str, list[FlaggedImage]] = {}

    def flagged_images(self, classifier: CategoryClassifier, count: int) -> Sequence[FlaggedImage]:
        """The first scenes of the classifier's category that it flags."""
        cached = self._cache.setdefault(classifier.category.key, [])
        if len(cached) < count:
            cached[:] = flagged_scenes(classifier, count=count, seed=self._seed)
        return cached[:count]


def load_pictograms(device: str = "cpu") -> Pipeline:
    """The profile of the scenes' classifiers, without a reasoner."""
    return profiles.load("pictograms", reasoner="", device=device)


@cache
def classifier_hashes() -> Mapping[str, str | None]:
    """Weights hash of each category's classifier.

    A checkpoint that was measured with other weights is not resumed.
    """
    return {
        each.category.key: each.classifier.info.sha256 for each in load_pictograms().classifiers
    }
