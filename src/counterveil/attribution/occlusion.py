"""Occlusion: what the score loses when a region is hidden. Needs nothing but scores."""

from __future__ import annotations

from typing import cast

import numpy as np

from counterveil.attribution import Filler
from counterveil.errors import UsageError
from counterveil.types import AttributionMap, Classifier, Image, Labels, Scores


class Occlusion:
    """Each region's pixels get ``max(0, score(image) - score(image with the region hidden))``.

    Serves any classifier, black boxes too. It scores 1 + K images, where K is the number of
    regions, all through ``classifier.score``.

    Args:
        batch: most images in one call of ``classifier.score``.
        pixels: most pixels in one call, whatever ``batch`` says (at least one image): large
            photographs are scored few at a time, so memory stays bounded.

    References:
        The paper's Definition 2 (confidence reduction of a region); Zeiler and Fergus,
        "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """

    needs_regions = True

    def __init__(self, *, batch: int = 32, pixels: int = 16_000_000) -> None:
        self.batch = batch
        self.pixels = pixels

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Filler | None = None,
    ) -> AttributionMap:
        """The map ``(H, W)`` of one image ``(H, W, 3)``, probabilities lost, in ``[0, 1]``.

        Args:
            classifier: anything that scores.
            image: ``(H, W, 3)``.
            labels: the regions to hide one by one; negative labels are never hidden.
            fill: how a region is hidden; black where None.

        Raises:
            UsageError: ``labels`` is missing or not of the image's size.
        """
        labels = _checked(labels, image)
        before = float(classifier.score(image[None])[0])
        after = self._hidden_scores(classifier, image, labels, fill or _black())
        drops = np.append(np.maximum(before - after, 0), 0)  # the last is for label -1
        return cast(AttributionMap, drops.astype(np.float32)[np.maximum(labels, -1)])

    def _hidden_scores(
        self, classifier: Classifier, image: Image, labels: Labels, fill: Filler
    ) -> Scores:
        """The score with each of the K regions hidden."""
        regions = int(labels.max()) + 1
        step = max(1, min(self.batch, self.pixels // labels.size))
        parts = [np.zeros(0)]
        for start in range(0, regions, step):
            chunk = np.arange(start, min(start + step, regions))
            masks = labels[None] == chunk[:, None, None]
            parts.append(classifier.score(fill(image, masks)))
        return np.concatenate(parts)


def _checked(labels: Labels | None, image: Image) -> Labels:
    if labels is None:
        raise UsageError("occlusion hides the image region by region: give it labels")
    if labels.shape != image.shape[:2]:
        raise UsageError(f"labels {labels.shape} are not of the image's size {image.shape[:2]}")
    return labels


def _black() -> Filler:
    from counterveil.fills import fill

    return fill("black")
