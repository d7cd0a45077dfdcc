"""Validates a classifier's scores: one finite probability per image."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterveil.errors import ModelError
from counterveil.types import (
    Box,
    Classifier,
    GradientClassifier,
    Image,
    Images,
    LocalizingClassifier,
    MaskScoreFunction,
    MaskScoringClassifier,
    ModelInfo,
    Scores,
)


class CheckedClassifier:
    """A classifier whose scores are validated."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def info(self) -> ModelInfo:
        """Name, version and weights hash of the model."""
        return self._classifier.info

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, float64 ``(B,)``; a ``ModelError`` for invalid scores."""
        return self._validated(self._classifier.score(images), len(images))

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """As ``MaskScoringClassifier.score_masked``; ``None`` where the classifier is not one."""
        if not isinstance(self._classifier, MaskScoringClassifier):
            return None
        score = self._classifier.score_masked(image, paint)
        if score is None:  # compositing on the CPU is faster
            return None
        return lambda masks: self._validated(score(masks), len(masks))

    def boxes(self, image: Image) -> tuple[Box, ...]:
        """As ``LocalizingClassifier.boxes``; none where the classifier is not one."""
        if not isinstance(self._classifier, LocalizingClassifier):
            return ()
        return self._classifier.boxes(image)

    def _validated(self, scores: Any, count: int) -> Scores:
        try:
            values = np.asarray(scores, np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._error(f"gave {type(scores).__name__}, not numbers: {error}") from error
        if values.shape != (count,):
            raise self._error(f"gave shape {values.shape} for {count} images")
        invalid = values[~((values >= 0) & (values <= 1))]  # NaN fails both comparisons
        if len(invalid):
            raise self._error(f"gave {invalid[0]}; scores must be probabilities in [0, 1]")
        return values

    def _error(self, problem: str) -> ModelError:
        return ModelError(f"classifier {self.info.name!r} {problem}")


class GradientAccess:
    """Mixin that passes on the module and methods of the ``GradientClassifier`` it wraps."""

    _classifier: Any

    @property
    def module(self) -> Any:
        """The wrapped classifier's ``torch.nn.Module``."""
        return self._classifier.module

    def to_input(self, images: Images) -> Any:
        """The module's input ``(B * V, 3, h, w)``."""
        return self._classifier.to_input(images)

    def to_image_maps(self, maps: Any, size: tuple[int, int]) -> Any:
        """Maps ``(B * V, h, w)`` of the input as maps ``(B, H, W)`` of images of ``size``."""
        return self._classifier.to_image_maps(maps, size)

    def target(self, logits: Any) -> Any:
        """The scalar that a gradient attribution explains, ``(B,)``, of logits ``(B, C)``."""
        return self._classifier.target(logits)


class CheckedGradientClassifier(GradientAccess, CheckedClassifier):
    """A ``GradientClassifier`` whose scores are validated."""


def checked(classifier: Classifier) -> CheckedClassifier:
    """The classifier with validated scores; itself if it is checked already."""
    if isinstance(classifier, CheckedClassifier):
        return classifier
    if isinstance(classifier, GradientClassifier):
        return CheckedGradientClassifier(classifier)
    return CheckedClassifier(classifier)
