"""Occlusion: the drop of the score when a region is hidden. It needs scores only."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np

from counterveil import fills
from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.types import (
    AttributionMap,
    Classifier,
    Image,
    Labels,
    Masks,
    MaskScoreFunction,
    MaskScoringClassifier,
    Scores,
)


class Occlusion:
    """Each region's pixels get ``max(0, score(image) - score(image with the region hidden))``.

    It scores 1 + K images for K regions, with ``classifier.score``, or under masks where the
    classifier does that itself.

    Args:
        batch_size: maximum images in one call of ``classifier.score``.
        max_pixels: maximum pixels in one call (but at least one image), so that large images
            do not exhaust the memory.

    References:
        The paper's Definition 2 (confidence reduction of a region); Zeiler and Fergus,
        "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """

    needs_regions = True
    needs_gradients = False

    def __init__(self, *, batch_size: int = 32, max_pixels: int = 16_000_000) -> None:
        self.batch_size = batch_size
        self.max_pixels = max_pixels

    def __call__(
        self,
        classifier: Classifier,
        image: Image,
        *,
        labels: Labels | None = None,
        fill: Fill | None = None,
    ) -> AttributionMap:
        """The map ``(H, W)`` of one image ``(H, W, 3)``: loss of probability, in ``[0, 1]``.

        ``labels`` must be given; regions with negative labels are never hidden. The default
        ``fill`` is black.
        """
        if labels is None:
            raise UsageError("occlusion hides the image region by region; pass labels")
        if labels.shape != image.shape[:2]:
            raise UsageError(
                f"labels {labels.shape} do not have the image's size {image.shape[:2]}"
            )
        before = float(classifier.score(image[None])[0])
        fill = fill or fills.fill("black")
        score_masked = None
        if isinstance(classifier, MaskScoringClassifier):
            score_masked = classifier.score_masked(image, fill.painted(image))
        if score_masked is None:
            score_masked = partial(_score_composited, classifier, image, fill)
        after = self._scores_without(score_masked, labels)
        drops = np.append(np.maximum(before - after, 0), 0)  # index -1, for negative labels
        return cast(AttributionMap, drops.astype(np.float32)[np.maximum(labels, -1)])

    def _scores_without(self, score_masked: MaskScoreFunction, labels: Labels) -> Scores:
        """The score with each of the K regions hidden, ``(K,)``."""
        regions = int(labels.max()) + 1
        step = max(1, min(self.batch_size, self.max_pixels // labels.size))  # bounds memory
        parts = [np.zeros(0)]
        for start in range(0, regions, step):
            chunk = np.arange(start, min(start + step, regions))
            parts.append(score_masked(labels[None] == chunk[:, None, None]))
        return np.concatenate(parts)


def _score_composited(classifier: Classifier, image: Image, fill: Fill, masks: Masks) -> Scores:
    return classifier.score(fill(image, masks))
