"""How soon a search had how small a veil."""

from __future__ import annotations

from typing import Any

from counterveil.types import Classifier, Image, Images, Masks, ModelInfo, Scores, VeiledScore
from counterveil.veil import composite


class Traced:
    """A classifier that watches one search; everything else is the inner one's own.

    Args:
        classifier: that scores.
        threshold: below which its decision flips.

    Attributes:
        images: scored so far.
        reached: each flip that veils less than those before it: images scored by the end of the
            batch that it came in, and the veiled share of the image.
    """

    def __init__(self, classifier: Classifier, threshold: float) -> None:
        self._classifier = classifier
        self._threshold = threshold
        self.images = 0
        self.reached: list[tuple[int, float]] = []

    def __getattr__(self, name: str) -> Any:
        if name == "_classifier":  # while unpickled, there is none yet to ask
            raise AttributeError(name)
        return getattr(self._classifier, name)

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._classifier.info

    def score(self, images: Images) -> Scores:
        """As the classifier scores."""
        self.images += len(images)
        return self._classifier.score(images)

    def under(self, image: Image, paint: Image) -> VeiledScore:
        """As ``TorchClassifier.under``, for any classifier."""
        under = getattr(self._classifier, "under", None)
        on_device: VeiledScore | None = under(image, paint) if under is not None else None

        def here(masks: Masks) -> Scores:
            return self._classifier.score(composite(image, paint, masks))

        veiled = on_device or here

        def watched(masks: Masks) -> Scores:
            scores = veiled(masks)
            self.images += len(masks)
            for mask in masks[scores < self._threshold]:
                area = float(mask.mean())
                if not self.reached or area < self.reached[-1][1]:
                    self.reached.append((self.images, area))
            return scores

        return watched
