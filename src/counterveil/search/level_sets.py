"""Search for photographs: the smallest of nested, tidy veils over the most important regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int
from scipy.ndimage import gaussian_filter

from counterveil.search.evaluator import MaskEvaluator
from counterveil.search.outline import SMOOTHING, tidy
from counterveil.search.problem import SearchProblem
from counterveil.types import Labels, Mask, SearchOutcome, SearchResult

SMALLEST, LARGEST, STEP = 0.02, 0.64, 1.25
"""Least and most area of a veil as a share of the image, and the ratio of a veil's area to that of
the next smaller one."""


@dataclass(frozen=True, eq=False)
class LevelSets:
    """Nested veils of an image: the most important regions, with tidy outlines.

    Attributes:
        labels: region of each pixel, ``(H, W)``, from 0.
        importance: importance of each region, ``(regions,)``.
    """

    labels: Labels
    importance: Float64[np.ndarray, " regions"]

    @cached_property
    def ranking(self) -> Int[np.ndarray, " regions"]:
        """Regions, most important first.

        The importance is smoothed over the image first, so that neighbours follow each other and
        the veils have few pieces.
        """
        sigma = SMOOTHING * min(self.labels.shape)
        smooth = gaussian_filter(self.importance[self.labels], sigma, mode="nearest")
        means = np.bincount(self.labels.ravel(), smooth.ravel()) / self._areas
        return np.argsort(-means, kind="stable")

    @cached_property
    def counts(self) -> Int[np.ndarray, " sizes"]:
        """Number of regions in each veil, ascending; each covers 1.25 times the one before."""
        shares = np.cumsum(self._areas[self.ranking]) / self.labels.size
        steps = int(np.log(LARGEST / SMALLEST) / np.log(STEP))
        wanted = SMALLEST * STEP ** np.arange(steps + 1)
        counts = np.searchsorted(shares, wanted) + 1
        return np.unique(np.minimum(counts, len(self.importance)))

    def mask(self, count: int) -> Mask:
        """The tidy veil over the ``count`` most important regions."""
        chosen = np.zeros(len(self.importance), bool)
        chosen[self.ranking[:count]] = True
        return tidy(chosen[self.labels])

    @cached_property
    def _areas(self) -> Int[np.ndarray, " regions"]:
        return np.bincount(self.labels.ravel(), minlength=len(self.importance))


class LevelSetSearch:
    """Veils the most important regions: the smallest of nested, tidy veils (:class:`LevelSets`).

    A search for the least set of regions often ends at a scrap that only this classifier needs. A
    veil over all of what argues most for *unsafe* hides the thing itself, and it takes a handful
    of scores: veils of every second size are scored, the smallest first, until one is below
    ``target``; then the size in between.

    Where no veil is below ``target``, the smallest one below ``threshold`` is taken, and the
    result's ``target`` is the threshold. The result is never called irreducible: a part of the
    veil may be more than the decision needs. ``refinement_labels`` are not used.

    References:
        The order is that of Bethany et al., AAAI 2024, Definition 1, over finer regions.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        veils = _ScoredVeils(LevelSets(problem.labels, problem.importance), evaluator)
        for limit in dict.fromkeys((problem.target, problem.threshold)):
            index = veils.smallest_below(limit)
            if index is not None:
                return self._result("found", problem, veils, index, limit)
        lowest = min(veils.scores, key=lambda index: veils.scores[index], default=None)
        return self._result("not_found", problem, veils, lowest, problem.target)

    def _result(
        self,
        outcome: SearchOutcome,
        problem: SearchProblem,
        veils: _ScoredVeils,
        index: int | None,
        limit: float,
    ) -> SearchResult:
        """The result for one of the scored veils; for no veil at all if there was no budget."""
        level_sets, evaluator = veils.level_sets, veils.evaluator
        if index is None:
            mask, score, depth = np.zeros(problem.labels.shape, bool), evaluator.score_before, 0
        else:
            depth = int(level_sets.counts[index])
            mask, score = level_sets.mask(depth), veils.scores[index]
        covered = np.bincount(problem.labels[mask], minlength=problem.regions_total) > 0
        return problem.result(
            outcome, evaluator, mask, covered, score, depth=depth, target=limit
        )


class _ScoredVeils:
    """Scores of the veils that were tried, by their index among the sizes."""

    def __init__(self, level_sets: LevelSets, evaluator: MaskEvaluator) -> None:
        self.level_sets, self.evaluator = level_sets, evaluator
        self.scores: dict[int, float] = {}

    def smallest_below(self, limit: float) -> int | None:
        """Index of the smallest veil below the limit, of every second size and the one before."""
        last = len(self.level_sets.counts) - 1
        for index in (*range(1, last, 2), last):
            if self._score(index) < limit:
                # One size is skipped at a time, so only the one before can be smaller.
                return index - 1 if index and self._score(index - 1) < limit else index
        return None

    def _score(self, index: int) -> float:
        """The score of a veil, infinite where the budget has ended."""
        if index not in self.scores:
            mask = self.level_sets.mask(int(self.level_sets.counts[index]))
            scored = self.evaluator.score(mask[None])
            if not len(scored):
                return np.inf
            self.scores[index] = float(scored[0])
        return self.scores[index]
