"""Holds a classifier to its word: every score a finite probability, one an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterveil.classifiers.wrapped import Wrapped
from counterveil.errors import ModelError
from counterveil.types import Classifier, Image, Images, MaskScoreFunction, Scores


class Checked(Wrapped):
    """A classifier whose scores are validated."""

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, float64 ``(B,)``.

        Raises:
            ModelError: not one score an image, or one that is no probability.
        """
        return self._valid(self._classifier.score(images), len(images))

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """Likewise validated."""
        veiled = super().score_masked(image, paint)
        if veiled is None:
            return None
        return lambda masks: self._valid(veiled(masks), len(masks))

    def _valid(self, scores: Any, count: int) -> Scores:
        try:
            values = np.asarray(scores, np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._broken(f"gave {type(scores).__name__}, not numbers: {error}") from error
        if values.shape != (count,):
            raise self._broken(f"gave shape {values.shape} for {count} images")
        wrong = values[~((values >= 0) & (values <= 1))]  # NaN fails both comparisons
        if len(wrong):
            raise self._broken(f"gave {wrong[0]}, which is no probability in [0, 1]")
        return values

    def _broken(self, what: str) -> ModelError:
        return ModelError(f"classifier {self.info.name!r} {what}")


def checked(classifier: Classifier) -> Classifier:
    """The classifier, its scores validated; itself when it already is."""
    return classifier if isinstance(classifier, Checked) else Checked(classifier)
