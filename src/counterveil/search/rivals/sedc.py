"""SEDC: best-first search from single regions, ordered by how much the score drops."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import numpy as np

from counterveil.search.evaluator import MaskEvaluator, RegionSet, RegionSets
from counterveil.search.problem import SearchProblem
from counterveil.types import SearchResult


class Sedc:
    """Search for evidence counterfactuals, as in its published code.

    Every region is veiled alone. If any flips the decision, the one with the largest drop of
    the score is the answer. Otherwise the set with the largest drop so far (the earliest of
    equals) is expanded by every other region, and so on. As in the code, {a, b} is scored, and
    counted, again when it is reached from {b} after {a}. The code can loop forever; this stops
    at ``max_regions`` and at the end of the budget. ``depth`` is the number of veiled regions.
    Importance, ``refinement_labels`` and ``attribution_map`` are not used.

    For two classes, the variants SEDC-T (gain ``p - p(S)`` of *safe*) and SEDC-T2 (margin
    ``1 - 2 p(S)`` of *safe*) order sets in the same way and are this search.

    References:
        Vermeire et al., "Explainable Image Classification with Evidence Counterfactual", Pattern
        Analysis and Applications 2022. Its code segments by quickshift(4, 200, 0.2) and fills
        with a Gaussian blur of 31 pixels, or the mean colour.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels)
        regions, numbers = problem.regions_total, count()
        frontier: list[tuple[float, int, RegionSet]] = []
        lowest, best = np.inf, None
        sets = np.eye(regions, dtype=bool)
        while len(scores := scorer.score(sets)):
            index = int(scores.argmin())
            if scores[index] < lowest:
                lowest, best = float(scores[index]), sets[index]
            if lowest < problem.target:
                return problem.found(scorer, sets[index], int(sets[index].sum()))
            for expanded, score in zip(sets[: len(scores)], scores, strict=True):
                if expanded.sum() < min(problem.max_regions, regions):
                    # The largest drop is the lowest score; the number keeps the order of equals.
                    heappush(frontier, (float(score), next(numbers), expanded))
            if not frontier:
                break
            sets = _expand(heappop(frontier)[2])
        return problem.not_found(scorer, best, 0 if best is None else int(best.sum()))


def _expand(regions: RegionSet) -> RegionSets:
    """The set with each other region added, in ascending order."""
    others = np.flatnonzero(~regions)
    sets = np.repeat(regions[None], len(others), axis=0)
    sets[np.arange(len(others)), others] = True
    return sets
