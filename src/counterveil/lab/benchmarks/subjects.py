"""What a bench of counterfactuals measures on: the scenes, or a folder of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Protocol

from counterveil import classifiers, inputs, profiles
from counterveil.categories import Category
from counterveil.errors import ImageError, UsageError
from counterveil.images import load
from counterveil.lab.scenes import draw_scene
from counterveil.pipeline import CategoryClassifier, Settings
from counterveil.pipeline.scale import shrink
from counterveil.types import GradientClassifier, Image, Mask

MASKS = "masks"
"""Folder beside the classes of an ImageFolder that holds no images but masks."""


@dataclass(frozen=True, eq=False)
class Case:
    """An image that its classifier flags, and where the unsafe objects are, if that is known."""

    image: Image
    truth: Mask | None
    index: int


class Subject(Protocol):
    """Where flagged images come from."""

    def cases(self, watch: CategoryClassifier, count: int) -> Sequence[Case]:
        """Images that a classifier flags: the first ``count`` of them, or all there are."""
        ...


def flagged(
    watch: CategoryClassifier,
    *,
    count: int,
    seed: int,
    edge: str | None = None,
    split: str = "test",
) -> Iterator[Case]:
    """Unsafe scenes of a category that its classifier flags, until there are ``count``."""
    key, found, index = watch.category.key, 0, 0
    while found < count:
        scene = draw_scene(seed, index, split=split, category=key, kind="unsafe", position=edge)
        if watch.classifier.score(scene.pixels[None])[0] >= watch.category.threshold:
            yield Case(scene.pixels, scene.mask(key), index)
            found += 1
        index += 1
        if index > 20 * count + 100:
            raise RuntimeError(f"{key}: the classifier flags too few scenes to measure on")


class Scenes:
    """Proxy scenes of the split ``test``; each is drawn and looked at once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[str, list[Case]] = {}

    def cases(self, watch: CategoryClassifier, count: int) -> Sequence[Case]:
        """The first scenes that the classifier flags."""
        known = self._known.setdefault(watch.category.key, [])
        if len(known) < count:
            known[:] = flagged(watch, count=count, seed=self._seed)
        return known[:count]


@cache
def weights() -> Mapping[str, str | None]:
    """SHA-256 of the proxies' classifiers: what was measured with others is not taken up."""
    pipeline = profiles.from_profile("proxy", overrides=profiles.Overrides(reasoner=""))
    return {w.category.key: w.classifier.info.sha256 for w in pipeline.watches}


class Folder:
    """Images of a folder that one classifier flags; where they are unsafe is not known.

    Args:
        folder: an ImageFolder, or any folder with images; ``masks`` is left out.
        spec: of the classifier.
        device: where it runs.

    Attributes:
        name: of the folder.
        spec: of the classifier.
        watch: the classifier, as a category of its own.
        opened: whether it can be looked into.
        read: images read, so far.

    Raises:
        UsageError: there is no file in the folder.
        ModelError: the classifier cannot be loaded.
    """

    def __init__(self, folder: Path, spec: str, *, device: str) -> None:
        files = inputs.find([str(folder)], leave_out=folder / MASKS)
        self._paths = [file.path for file in files]
        self.name, self.spec = folder.resolve().name, spec
        category = Category("unsafe", "Unsafe", classifier=spec)
        self.watch = CategoryClassifier(category, classifiers.load(spec, device=device))
        self.opened = isinstance(self.watch.classifier, GradientClassifier)
        self.read = 0
        self._left = self._flagged()
        self._known: list[Case] = []

    def cases(self, watch: CategoryClassifier, count: int) -> Sequence[Case]:
        """The first images that are flagged, shrunk to where the pipeline searches."""
        self._known += islice(self._left, max(0, count - len(self._known)))
        if not self._known:
            raise UsageError("the classifier flags no image of this folder; there is nothing to do")
        return self._known[:count]

    def _flagged(self) -> Iterator[Case]:
        for index, path in enumerate(self._paths):
            try:
                photo = load(path)[0]
            except ImageError:
                continue  # a folder may hold other files, too
            self.read += 1
            image = shrink(photo.pixels, Settings().side)
            if self.watch.classifier.score(image[None])[0] >= self.watch.category.threshold:
                yield Case(image, None, index)
