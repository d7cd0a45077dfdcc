"""How soon a search had how small a veil."""

from __future__ import annotations

from counterveil.classifiers.checked import CheckedClassifier, GradientAccess
from counterveil.fills import composite
from counterveil.types import (
    Classifier,
    GradientClassifier,
    Image,
    Images,
    Masks,
    MaskScoreFunction,
    Scores,
)


class Traced(CheckedClassifier):
    """A classifier that watches one search.

    Args:
        classifier: that scores.
        threshold: below which its decision flips.

    Attributes:
        images: scored so far.
        reached: each flip that veils less than those before it: images scored by the end of the
            batch that it came in, and the veiled share of the image.
    """

    def __init__(self, classifier: Classifier, threshold: float) -> None:
        super().__init__(classifier)
        self._threshold = threshold
        self.images = 0
        self.reached: list[tuple[int, float]] = []

    def score(self, images: Images) -> Scores:
        """As the classifier scores."""
        self.images += len(images)
        return super().score(images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction:
        """Of any classifier."""
        on_device = super().score_masked(image, paint)

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


class TracedGradientClassifier(GradientAccess, Traced):
    """A traced classifier that gradient attributions can explain."""


def trace(classifier: Classifier, threshold: float) -> Traced:
    """The classifier, traced; still a ``GradientClassifier`` where it was one."""
    kind = TracedGradientClassifier if isinstance(classifier, GradientClassifier) else Traced
    return kind(classifier, threshold)
