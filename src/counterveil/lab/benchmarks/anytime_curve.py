"""Observers of one measurement: the anytime curve of a search, and the images scored."""

from __future__ import annotations

from counterveil.classifiers.checked import CheckedClassifier, GradientAccess
from counterveil.search import MaskEvaluator, Search, SearchProblem
from counterveil.types import (
    Classifier,
    GradientClassifier,
    Image,
    Images,
    Masks,
    MaskScoreFunction,
    Scores,
    SearchResult,
)

Curve = list[tuple[int, float]]
"""Images scored so far, and the veiled share of the image."""


class AnytimeSearch:
    """Records the smallest decision-flipping mask after each batch (anytime curve).

    Attributes:
        evaluations: images that the search has scored.
        curve: one point for each flip that veils less than all flips before it.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self.evaluations = 0
        self.curve: Curve = []

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search and record."""

        def record(masks: Masks, scores: Scores) -> None:
            for mask in masks[scores < problem.threshold]:
                area = float(mask.mean())
                if not self.curve or area < self.curve[-1][1]:
                    self.curve.append((evaluator.evaluations, area))

        evaluator.on_scores = record
        result = self._search(problem, evaluator)
        self.evaluations = evaluator.evaluations
        return result


class ImageCounter(CheckedClassifier):
    """A classifier that counts the images it scores, in ``images``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        self.images = 0

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, ``(B,)``."""
        self.images += len(images)
        return super().score(images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """As ``MaskScoringClassifier.score_masked``."""
        score = super().score_masked(image, paint)
        if score is None:
            return None

        def counted(masks: Masks) -> Scores:
            self.images += len(masks)
            return score(masks)

        return counted


class GradientImageCounter(GradientAccess, ImageCounter):
    """An ``ImageCounter`` that gradient attributions support."""


def count_images(classifier: Classifier) -> ImageCounter:
    """The classifier, counted; it is still a ``GradientClassifier`` if it was one."""
    if isinstance(classifier, GradientClassifier):
        return GradientImageCounter(classifier)
    return ImageCounter(classifier)
