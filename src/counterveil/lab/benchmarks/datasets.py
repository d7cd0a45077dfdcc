"""Datasets of the counterfactual benchmark: drawn scenes, or a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Protocol

from counterveil import classifiers, profiles
from counterveil.categories import Category
from counterveil.config import Config
from counterveil.errors import ImageError, UsageError
from counterveil.images import load
from counterveil.inputs import find_inputs
from counterveil.lab.scenes import draw_scene
from counterveil.pipeline import CategoryClassifier, Pipeline
from counterveil.pipeline.mask import shrink_image
from counterveil.types import GradientClassifier, Image, Mask

MASKS_FOLDER = "masks"
"""Subfolder of a data set that holds masks instead of images; it is not read."""


@dataclass(frozen=True, eq=False)
class FlaggedImage:
    """An image that a classifier flags; ``truth`` is the mask of its unsafe objects, if known."""

    image: Image
    truth: Mask | None
    index: int


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


class ImageFolder:
    """Images of a folder that one classifier flags; they have no ground truth.

    Its subfolder ``masks`` is left out.

    Attributes:
        name: name of the folder.
        spec: spec of the classifier.
        classifier: the classifier, as a category of its own.
        has_gradients: whether gradient attributions support the classifier.
        images_read: number of images read so far.

    Raises:
        UsageError: there is no file in the folder.
        ModelError: the classifier cannot be loaded.
    """

    def __init__(self, folder: Path, spec: str, *, device: str) -> None:
        files = find_inputs([str(folder)], exclude=folder / MASKS_FOLDER)
        self._paths = [file.path for file in files.inputs]
        self.name, self.spec = folder.resolve().name, spec
        category = Category("unsafe", "Unsafe", classifier=spec)
        self.classifier = CategoryClassifier(category, classifiers.load(spec, device=device))
        self.has_gradients = isinstance(self.classifier.classifier, GradientClassifier)
        self.images_read = 0
        self._unread = self._read_flagged()
        self._cache: list[FlaggedImage] = []

    def flagged_images(self, classifier: CategoryClassifier, count: int) -> Sequence[FlaggedImage]:
        """The first flagged images, at the resolution of the pipeline's search.

        Raises:
            UsageError: no image is flagged.
        """
        self._cache += islice(self._unread, max(0, count - len(self._cache)))
        if not self._cache:
            raise UsageError(
                "the classifier flags no image of this folder; name another folder or classifier"
            )
        return self._cache[:count]

    def _read_flagged(self) -> Iterator[FlaggedImage]:
        threshold = self.classifier.category.threshold
        for index, path in enumerate(self._paths):
            try:
                frame = load(path)[0]
            except ImageError:
                continue  # the folder may hold other files, too
            self.images_read += 1
            image = shrink_image(frame.pixels, Config().search_size)
            if self.classifier.classifier.score(image[None])[0] >= threshold:
                yield FlaggedImage(image, None, index)


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
