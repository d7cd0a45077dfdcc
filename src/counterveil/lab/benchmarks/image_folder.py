"""A folder of images as a dataset: the images that a classifier flags, or scores highest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from counterveil import classifiers, profiles
from counterveil.categories import Category
from counterveil.config import Config, make_config
from counterveil.errors import ImageError, UsageError
from counterveil.images import load
from counterveil.inputs import find_inputs
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.datasets import FlaggedImage
from counterveil.lab.benchmarks.veil_metrics import VeilMetrics
from counterveil.pipeline import CategoryClassifier
from counterveil.pipeline.mask import shrink_image
from counterveil.types import Classifier, GradientClassifier

MASKS_FOLDER = "masks"
"""Subfolder of a data set that holds masks instead of images; it is not read."""


@dataclass(frozen=True)
class FolderOptions:
    """How a folder of images is measured.

    Attributes:
        highest: take this number of images, those that score highest, and move the threshold to
            the lowest of their scores; 0: take the images that are flagged.
        judges: specs of classifiers that take no part in the search.
        boxes: spec of a classifier with boxes, which veils are compared with; empty: none.
        profiles: names or files of profiles. Files are released with the first one; false alarms
            are counted for each.
    """

    highest: int = 0
    judges: tuple[str, ...] = ()
    boxes: str = ""
    profiles: tuple[str, ...] = ("photographs",)


FLAGGED = FolderOptions()
"""The images that are flagged, without judges and boxes."""


class ImageFolder:
    """Images of a folder that one classifier flags; they have no ground truth.

    Its subfolder ``masks`` is left out.

    Args:
        folder: the folder.
        spec: the classifier; empty: that of the profile's first category.
        device: where the models run.
        options: which images are taken, and what they are measured with.

    Attributes:
        name: name of the folder.
        spec: spec of the classifier.
        classifier: the classifier, as a category of its own. :meth:`rank` moves its threshold.
        has_gradients: whether gradient attributions support the classifier.
        images_read: number of images read so far.

    Raises:
        UsageError: there is no file in the folder, or no such profile.
        ModelError: the classifier cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        spec: str = "",
        *,
        device: str,
        options: FolderOptions = FLAGGED,
    ) -> None:
        files = find_inputs([str(folder)], exclude=folder / MASKS_FOLDER)
        self._files = files.inputs
        self.options, self.device = options, device
        self.name = folder.resolve().name
        self.spec = spec or self.profile.categories[0].classifier
        category = Category("unsafe", "Unsafe", classifier=self.spec)
        self.classifier = CategoryClassifier(category, classifiers.load(self.spec, device=device))
        self.has_gradients = isinstance(self.classifier.classifier, GradientClassifier)
        self.images_read = 0
        self._unread = self._read_flagged()
        self._cache: list[FlaggedImage] = []
        self._scores: dict[str, list[list[float]]] = {}

    def __len__(self) -> int:
        """Number of files, images or not."""
        return len(self._files)

    def path(self, item: FlaggedImage) -> Path:
        """The file of an image."""
        return self._files[item.index].path

    def file_name(self, item: FlaggedImage) -> str:
        """The file's name below the folder."""
        return self._files[item.index].name

    @cached_property
    def metrics(self) -> VeilMetrics:
        """Judges and boxes, loaded at the first use.

        Raises:
            UsageError: a spec is wrong.
            ModelError: a model cannot be loaded.
        """
        return VeilMetrics.load(self.options.judges, self.options.boxes, device=self.device)

    @cached_property
    def profile(self) -> Config:
        """The profile that files are released with, without a reasoner."""
        return self.find_profile(self.options.profiles[0])

    def find_profile(self, name: str) -> Config:
        """A profile for this folder: without a reasoner, on its device."""
        return profiles.find_profile(name, reasoner="", device=self.device)

    def release_config(self) -> Config:
        """The profile with the folder's classifier and threshold, and no other category.

        Its judges stay if the profile has a category with this classifier. Their threshold is at
        most the moved one: judges that never say unsafe would dispute nothing.
        """
        mine = [each for each in self.profile.categories if each.classifier == self.spec]
        threshold = self.classifier.category.threshold
        category = mine[0] if mine else replace(self.profile.categories[0], judges=())
        category = replace(
            category,
            classifier=self.spec,
            threshold=threshold,
            warn_threshold=min(threshold, category.warn_threshold),
            judge_threshold=min(threshold, category.judge_threshold),
        )
        return make_config(self.profile, categories=(category,))

    def summary(self) -> dict[str, Any]:
        """What was read and chosen, as JSON data."""
        return {
            "read": self.images_read,
            "flagged": len(self._cache),
            "threshold": self.classifier.category.threshold,
            "has_gradients": self.has_gradients,
        }

    def settings(self) -> dict[str, Any]:
        """What distinguishes a measurement on this folder, as JSON data."""
        used = [self.find_profile(name).model_dump(mode="json") for name in self.options.profiles]
        options = replace(self.options, profiles=())  # files of this machine may be among them
        return {
            "data": self.name,
            "files": len(self),
            "classifier": self.spec,
            "options": asdict(options),
            "profiles": used,
        }

    def scores(self, spec: str, checkpoint: Checkpoint) -> list[list[float]]:
        """Scores of every view of every file, by file; none for a file that is no image.

        Each file is scored once for each spec.
        """
        if spec not in self._scores:
            mine = spec == self.spec
            classifier = (
                self.classifier.classifier if mine else classifiers.load(spec, device=self.device)
            )

            def measure(items: range) -> Iterator[list[float]]:
                return (self._score(index, classifier) for index in items)

            name = f"scores of {spec}"
            self._scores[spec] = checkpoint.measure(name, len(self), measure, chunk_size=50)
        return self._scores[spec]

    def rank(self, checkpoint: Checkpoint) -> None:
        """Choose the images with the highest scores, and move the threshold to their lowest.

        Raises:
            UsageError: the folder has no image with a score above 0.
        """
        all_scores = self.scores(self.spec, checkpoint)
        known = [(scores[0], index) for index, scores in enumerate(all_scores) if scores]
        self.images_read = len(known)
        best = sorted(known, key=lambda each: (-each[0], each[1]))[: self.options.highest]
        self._cache = [self._read(index, score) for score, index in best if score > 0]
        if not self._cache:
            raise UsageError("no image of this folder scores above 0; name another folder")
        # The search works on the reduced image, the pipeline on the whole one: both must flag it.
        reduced = [float(self.classifier.classifier.score(x.image[None])[0]) for x in self._cache]
        threshold = _round_down(min(*reduced, *(x.score for x in self._cache)))
        category = replace(self.classifier.category, threshold=threshold)
        self.classifier = replace(self.classifier, category=category)

    def flagged_images(self, classifier: CategoryClassifier, count: int) -> Sequence[FlaggedImage]:
        """The first flagged images, at the resolution of the pipeline's search.

        After :meth:`rank` these are the images with the highest scores, the highest first.

        Raises:
            UsageError: no image is flagged.
        """
        if not self.options.highest:
            self._cache += islice(self._unread, max(0, count - len(self._cache)))
        if not self._cache:
            raise UsageError(
                "the classifier flags no image of this folder; name another folder or classifier"
            )
        return self._cache[:count]

    def _read_flagged(self) -> Iterator[FlaggedImage]:
        threshold = self.classifier.category.threshold
        for index in range(len(self)):
            try:
                item = self._read(index)
            except ImageError:
                continue  # the folder may hold other files, too
            self.images_read += 1
            score = float(self.classifier.classifier.score(item.image[None])[0])
            if score >= threshold:
                yield replace(item, score=score)

    def _read(self, index: int, score: float = 0.0) -> FlaggedImage:
        pixels = load(self._files[index].path)[0].pixels
        return FlaggedImage(shrink_image(pixels, Config().search_size), None, index, score)

    def _score(self, index: int, classifier: Classifier) -> list[float]:
        try:
            frames = load(self._files[index].path)
        except ImageError:
            return []
        return [float(classifier.score(frame.pixels[None])[0]) for frame in frames]


def _round_down(score: float) -> float:
    """A little less than the score, with three digits that count.

    Batches of other sizes change a score in its last digits.
    """
    lower = score * (1 - 1e-5)
    unit = 10.0 ** (math.floor(math.log10(lower)) - 2)
    return round(math.floor(lower / unit) * unit, 12)
