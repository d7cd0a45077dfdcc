"""The optimum: the smallest area that flips the decision, over all subsets of regions."""

from __future__ import annotations

import numpy as np

from counterveil.errors import UsageError
from counterveil.search.evaluator import MaskEvaluator, RegionSets, first_below
from counterveil.search.problem import SearchProblem
from counterveil.search.rivals import BATCH_SIZE
from counterveil.types import SearchResult

MAX_REGIONS = 16
"""Largest partition searched: 65,535 subsets; one more region doubles them."""


class Exhaustive:
    """Scores all subsets of at most ``max_regions`` regions, smallest area first.

    The first below the target is the optimum, whatever the score function. Of equal areas,
    fewer regions come first, then the more important ones. Needs a large budget; where that
    ends first, the outcome is ``not_found``. ``depth`` is the number of veiled regions.
    ``refinement_labels`` and ``attribution_map`` are not used.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search.

        Raises:
            UsageError: more than 16 regions.
        """
        if problem.regions_total > MAX_REGIONS:
            raise UsageError(
                f"the exhaustive search tries all subsets of at most {MAX_REGIONS} regions, got "
                f"{problem.regions_total}; take a coarser partition or another search"
            )
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels)
        sets = _subsets_by_area(problem)[: evaluator.remaining]
        lowest, best = np.inf, None
        for start in range(0, len(sets), BATCH_SIZE):
            batch = sets[start : start + BATCH_SIZE]
            scores = scorer.score(batch)
            first = first_below(scores, problem.target)
            if first is not None:
                return problem.found(scorer, batch[first], int(batch[first].sum()))
            if scores.min() < lowest:
                lowest, best = float(scores.min()), batch[int(scores.argmin())]
        return problem.not_found(scorer, best, 0 if best is None else int(best.sum()))


def _subsets_by_area(problem: SearchProblem) -> RegionSets:
    """Every subset of at most ``max_regions`` regions, ``(n, regions)``, smallest area first."""
    regions = problem.regions_total
    codes = np.arange(1, 2**regions)
    ranked = (codes[:, None] >> np.arange(regions)) & 1 > 0  # columns: most important first
    sets = np.zeros_like(ranked)
    sets[:, problem.ranking] = ranked
    # Rounded, so that equal areas stay equal when their terms are added in another order.
    areas = (sets @ (problem.areas / problem.labels.size)).round(12)
    sizes = sets.sum(axis=1)
    order = np.lexsort((codes, sizes, areas))
    ordered: RegionSets = sets[order[sizes[order] <= problem.max_regions]]
    return ordered
