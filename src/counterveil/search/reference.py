"""The paper's published code: all subsets with the newest region, at increasing depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from counterveil.fills import Fill
from counterveil.search.hunt import Hunt, batches, powerset
from counterveil.search.trial import Goal, Scored
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult


@dataclass(frozen=True)
class Reference:
    """The search that the paper's authors published, which is not the one the paper describes.

    At depth n it scores every subset of the n most important regions that holds the n-th, the
    smallest first: 2^(n-1) images, 1,023 to depth 10, where the paper's greedy search scores 10.
    They are scored 16 at a time. Of each batch, the code looks at one cell only: the largest
    probability of any class in any of its images. A flip less sure than some other image's
    *unsafe* is therefore passed over, and an answer is the surest of its batch, not the smallest.
    That is what this does by default; ``each`` judges every image by itself, as was meant.
    ``depth`` is n. The best attempt of a search in vain is the least unsafe image looked at.

    Attributes:
        each: judge every image, not the surest cell of a batch.
        grown: pixels by which veils reach beyond their regions; the code dilates by 3 x 3,
            which is 1. 0 by default, so that a veil is its regions.

    References:
        Bethany et al., AAAI 2024; ``region_explainability`` of the code published with it, which
        orders by Grad-CAM of ``layer2``, whatever map was asked for, and fills with black.
    """

    each: bool = False
    grown: int = 0

    def __call__(
        self,
        image: Image,
        score: ScoreFunction,
        labels: Labels,
        importance: Float64[np.ndarray, " regions"],
        *,
        fill: Fill,
        goal: Goal,
        budget: Budget,
        refinement_labels: Labels | None = None,
        attribution_map: AttributionMap | None = None,
    ) -> SearchResult:
        """Search; ``refinement_labels`` and ``attribution_map`` are not used."""
        hunt = Hunt(
            image, score, labels, importance, fill=fill, goal=goal, budget=budget, grown=self.grown
        )
        if not hunt.needed:
            return hunt.nothing()
        regions, depth = len(importance), 0
        lowest, best = np.inf, None
        for depth in range(1, min(budget.regions, regions) + 1):
            sets = powerset(hunt.ranked[:depth], regions, most=depth, newest=True)
            for batch in batches(sets, hunt.left):
                scores = hunt.score(batch)
                at = self._look(scores)
                if scores[at] < lowest:
                    lowest, best = float(scores[at]), batch[at]
                if lowest < goal.target:
                    return hunt.found(batch[at], depth=depth)
            if not hunt.left:
                break
        return hunt.lost(best, depth=0 if best is None else depth)

    def _look(self, scores: Scored) -> int:
        """Which image of a batch the search looks at."""
        if self.each:
            return int(scores.argmin())
        return int(np.maximum(scores, 1 - scores).argmax())
