"""Search for photographs: the smallest of nested, tidy veils over the most important regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int
from scipy.ndimage import gaussian_filter
from scipy.special import logit

from counterveil.search.evaluator import MaskEvaluator
from counterveil.search.outline import SMOOTHING, tidy
from counterveil.search.problem import SearchProblem
from counterveil.types import Labels, Mask, SearchOutcome, SearchResult

LEVEL = 3.0
"""Importance, relative to the image's mean, from which a region is part of every veil. A smaller
veil may be enough for the classifier, but it is a scrap to anyone else. The mean changes less than
the maximum when a picture is saved again (docs/log.md)."""

STEP = 1.28
SIZES = tuple(0.02 * STEP**number for number in range(15))
"""Areas of veils as shares of the image, 2 to 63 %. They are the same for every image, so that two
files of one picture get veils of one size, or of neighbouring ones."""

_LEAST_SCORE = 1e-4  # a logit is infinite at 0 and 1


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
        """Regions, most important first."""
        return np.argsort(-self._smoothed, kind="stable")

    @cached_property
    def shares(self) -> Float64[np.ndarray, " sizes"]:
        """Area of each veil before it is tidied, as a share of the image, ascending."""
        mean = float(self._smoothed @ self._areas) / self.labels.size
        least = self._areas[self._smoothed >= LEVEL * mean].sum() / self.labels.size
        sizes = np.array(SIZES)
        first = int(np.abs(np.log(sizes / max(least, sizes[0]))).argmin())
        return sizes[first:]

    def mask(self, index: int) -> Mask:
        """The tidy veil of a size, by its index in ``shares``."""
        covered = np.cumsum(self._areas[self.ranking])
        count = int(np.searchsorted(covered, self.shares[index] * self.labels.size)) + 1
        chosen = np.zeros(len(self.importance), bool)
        chosen[self.ranking[:count]] = True
        return tidy(chosen[self.labels])

    @cached_property
    def _smoothed(self) -> Float64[np.ndarray, " regions"]:
        """Importance, smoothed over the image.

        Neighbours then follow each other, and a veil has few pieces.
        """
        sigma = SMOOTHING * min(self.labels.shape)
        smooth = gaussian_filter(self.importance[self.labels], sigma, mode="nearest")
        means: np.ndarray = np.bincount(self.labels.ravel(), smooth.ravel()) / self._areas
        return means

    @cached_property
    def _areas(self) -> Int[np.ndarray, " regions"]:
        return np.bincount(self.labels.ravel(), minlength=len(self.importance))


class LevelSetSearch:
    """Veils the most important regions: the smallest of nested, tidy veils (:class:`LevelSets`).

    A search for the least set of regions often ends at a scrap that only this classifier needs.
    The smallest veil here covers all regions that argue at least three times as much for *unsafe*
    as the image does on average.

    1. Score the smallest veil. If it is below ``target``, it is the answer.
    2. Score veils of every second size until one is below ``target``, and one more. A straight line
       through their log-odds, over the logarithm of the area, tells the smallest size below
       ``target``: a single veil's score is a matter of luck, and changes when a picture is saved
       again. From that size on, or from the smallest that was scored below ``target``, the first
       veil below ``threshold`` is the answer.

    Where the answer itself is not below ``target``, the result's ``target`` is the threshold. The
    result is never called irreducible: a part of the veil may be more than the decision needs.
    ``refinement_labels`` are not used.

    References:
        The order is that of Bethany et al., AAAI 2024, Definition 1, over finer regions.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        veils = _ScoredVeils(LevelSets(problem.labels, problem.importance), evaluator)
        index = veils.smallest(problem.target, problem.threshold)
        if index is None:
            lowest = min(veils.scores, key=lambda number: veils.scores[number], default=None)
            return self._result("not_found", problem, veils, lowest)
        return self._result("found", problem, veils, index)

    def _result(
        self,
        outcome: SearchOutcome,
        problem: SearchProblem,
        veils: _ScoredVeils,
        index: int | None,
    ) -> SearchResult:
        """The result for one of the scored veils; for no veil at all if there was no budget."""
        mask, score = np.zeros(problem.labels.shape, bool), veils.evaluator.score_before
        if index is not None:
            mask, score = veils.level_sets.mask(index), veils.scores[index]
        covered = np.bincount(problem.labels[mask], minlength=problem.regions_total) > 0
        return problem.result(
            outcome,
            veils.evaluator,
            mask,
            covered,
            score,
            depth=int(covered.sum()) if outcome == "found" else len(veils.scores),
            target=problem.threshold if score >= problem.target else problem.target,
        )


class _ScoredVeils:
    """Scores of the veils that were tried, by their index among the sizes."""

    def __init__(self, level_sets: LevelSets, evaluator: MaskEvaluator) -> None:
        self.level_sets, self.evaluator = level_sets, evaluator
        self.scores: dict[int, float] = {}
        self._sizes = len(level_sets.shares)

    def smallest(self, target: float, threshold: float) -> int | None:
        """Index of the smallest veil below the target by the fitted line; see the class above."""
        if self._score(0) < target:
            return 0
        for index in range(2, self._sizes, 2):
            if self._score(index) < target:
                self._score(min(index + 2, self._sizes - 1))
                break
        for index in range(self._first_below(target), self._sizes):
            if self._score(index) < threshold:
                return index
        # Larger veils may score higher again; then one that was tried is the answer.
        return min((i for i, score in self.scores.items() if score < threshold), default=None)

    def _first_below(self, target: float) -> int:
        """The first size at which the line through the scores is below the target, at least 1."""
        indices = sorted(self.scores)
        if len(indices) < 2:  # the budget has ended
            return 0
        scores = np.clip([self.scores[index] for index in indices], _LEAST_SCORE, 1 - _LEAST_SCORE)
        sizes = np.log(self.level_sets.shares)
        slope, start = np.polyfit(sizes[indices], logit(scores), 1)
        below = [index for index in indices if self.scores[index] < target]
        if slope < 0:  # else there is no such line, and the scores themselves decide
            below += np.flatnonzero(slope * sizes + start < logit(target)).tolist()
        return max(1, min(below, default=self._sizes - 1))

    def _score(self, index: int) -> float:
        """The score of a veil; infinite, and not remembered, where the budget has ended."""
        if index not in self.scores:
            scored = self.evaluator.score(self.level_sets.mask(index)[None])
            if not len(scored):
                return np.inf
            self.scores[index] = float(scored[0])
        return self.scores[index]
