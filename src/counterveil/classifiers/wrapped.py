"""A classifier around another one."""

from __future__ import annotations

from typing import Any

from counterveil.types import Classifier, Image, Images, MaskScoreFunction, ModelInfo, Scores


class Wrapped:
    """What it does not define itself is the inner classifier's own.

    Args:
        classifier: the inner one.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def __getattr__(self, name: str) -> Any:
        # While unpickled, there is no inner classifier yet to ask.
        if name == "_classifier":
            raise AttributeError(name)
        return getattr(self._classifier, name)

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._classifier.info

    def score(self, images: Images) -> Scores:
        """As the inner one scores."""
        return self._classifier.score(images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """As ``TorchClassifier.score_masked``; ``None`` where the inner one has no such."""
        score_masked = getattr(self._classifier, "score_masked", None)
        veiled: MaskScoreFunction | None = (
            score_masked(image, paint) if score_masked is not None else None
        )
        return veiled
