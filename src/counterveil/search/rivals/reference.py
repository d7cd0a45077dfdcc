"""The paper's published code: all subsets that hold the newest region, at increasing depth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.ndimage import binary_dilation

from counterveil.search.evaluator import MaskEvaluator, PartialScores
from counterveil.search.problem import SearchProblem
from counterveil.search.rivals import BATCH_SIZE, subsets
from counterveil.types import Masks, SearchResult


@dataclass(frozen=True)
class Reference:
    """The search that the paper's authors published, which differs from the one it describes.

    At depth n it scores every subset of the n most important regions that holds the n-th,
    smallest first: 1,023 images to depth 10, where the paper's greedy search scores 10. Of each
    batch of 16, the code looks only at the image with the largest probability of any class. It
    passes over a flip that is less certain than another image's *unsafe*, and an answer is the
    most certain of its batch, not the smallest. ``depth`` is n. ``refinement_labels`` and
    ``attribution_map`` are not used.

    Attributes:
        per_image: look at every image of a batch, as was probably intended.
        dilation: iterations of a 3 x 3 dilation of each mask; the code uses 1.

    References:
        Bethany et al., AAAI 2024; ``region_explainability`` in the code published with it,
        which ranks by Grad-CAM of ``layer2`` and fills with black.
    """

    per_image: bool = False
    dilation: int = 0

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels, postprocess=self._dilate)
        regions, depth = problem.regions_total, 0
        lowest, best = np.inf, None
        for depth in range(1, min(problem.max_regions, regions) + 1):
            top = problem.ranking[:depth]
            newest = (s for s in subsets(top, regions, depth) if s[top[-1]])
            remaining = islice(newest, evaluator.remaining)
            while batch := list(islice(remaining, BATCH_SIZE)):
                scores = scorer.score(np.stack(batch))
                index = self._index(scores)
                if scores[index] < lowest:
                    lowest, best = float(scores[index]), batch[index]
                if lowest < problem.target:
                    return problem.found(scorer, batch[index], depth)
            if not evaluator.remaining:
                break
        return problem.not_found(scorer, best, 0 if best is None else depth)

    def _index(self, scores: PartialScores) -> int:
        """Index of the image of a batch that the search looks at."""
        if self.per_image:
            return int(scores.argmin())
        return int(np.maximum(scores, 1 - scores).argmax())

    def _dilate(self, masks: Masks) -> Masks:
        if not self.dilation:
            return masks
        square = np.ones((1, 3, 3), bool)
        dilated: Masks = binary_dilation(masks, square, iterations=self.dilation)
        return dilated
