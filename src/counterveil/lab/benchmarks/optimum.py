"""The least area that any search could have veiled, on partitions small enough to try all."""

from __future__ import annotations

import hashlib

import numpy as np

from counterveil.fills import Fill
from counterveil.search import MaskEvaluator, SearchProblem, make
from counterveil.search.rivals.exhaustive import MAX_REGIONS
from counterveil.types import Classifier, Image, Labels


class Optimum:
    """Minimal areas, each looked for once.

    Args:
        evaluations: most images scored for one; where that does not suffice, it is not known.
        regions: most regions veiled at once.
    """

    def __init__(self, *, evaluations: int, regions: int = 10) -> None:
        self._max_regions, self._max_evaluations = regions, evaluations
        self._known: dict[str, float | None] = {}

    def area(
        self, classifier: Classifier, image: Image, labels: Labels, fill: Fill, target: float
    ) -> float | None:
        """Least veiled share of the image below the target; ``None`` where it is not known.

        Args:
            classifier: whose decision flips.
            image: the image.
            labels: the partition; of more than 16 regions nothing is known.
            fill: what hides a region.
            target: the score to stay below.
        """
        if int(labels.max()) >= MAX_REGIONS:
            return None
        what = (classifier.info.name, classifier.info.sha256, fill.name, target)
        digest = hashlib.sha256(repr(what).encode() + image.tobytes() + labels.tobytes())
        key = digest.hexdigest()
        if key not in self._known:
            self._known[key] = self._search(classifier, image, labels, fill, target)
        return self._known[key]

    def _search(
        self, classifier: Classifier, image: Image, labels: Labels, fill: Fill, target: float
    ) -> float | None:
        problem = SearchProblem(
            labels,
            np.zeros(int(labels.max()) + 1),
            threshold=target,
            target=target,
            max_regions=self._max_regions,
        )
        evaluator = MaskEvaluator(
            image, classifier.score, fill, max_evaluations=self._max_evaluations
        )
        found = make("exhaustive")(problem, evaluator)
        return found.area_fraction if found.outcome == "found" else None
