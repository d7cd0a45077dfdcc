"""Searches over subsets of regions: CSRA, SEDC, the paper's published code, and the optimum."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import binary_dilation

from counterveil.errors import UsageError
from counterveil.search.evaluator import (
    MaskEvaluator,
    PartialScores,
    RegionSet,
    RegionSets,
    first_below,
)
from counterveil.search.problem import SearchProblem
from counterveil.search.rivals import BATCH_SIZE, subsets
from counterveil.types import Masks, SearchResult


@dataclass(frozen=True)
class Csra:
    """Search part of counterfactual super-region attribution, as published in uGuard's code.

    Scores every subset of the most important regions (255 of 8, 1,023 of 10) and never stops
    early. The cheapest subset is the answer if its score is below the threshold. The code does
    not know ``target``: the result's ``target`` is the threshold unless the score happens to
    be below ``target`` too. ``depth`` is the shortest prefix of the ranking that holds the
    subset. ``refinement_labels`` and ``attribution_map`` are not used.

    Attributes:
        regions: number of most important regions considered (the code: 8; the paper compares
            with 10).

    References:
        Bethany et al., "Towards Targeted Obfuscation of Adversarial Unsafe Images using
        Reconstruction and Counterfactual Super Region Attribution Explainability", USENIX
        Security 2023. Its code ranks by Grad-CAM of the last block, over SLIC with 30 segments
        and compactness 50, and fills with black.
    """

    regions: int = 8

    def __post_init__(self) -> None:
        if self.regions < 1:
            raise UsageError(f"CSRA needs at least 1 region to consider, got {self.regions}")

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels)
        top = problem.ranking[: self.regions]
        candidates = subsets(top, problem.regions_total, problem.max_regions)
        sets = list(islice(candidates, evaluator.remaining))
        if not sets:
            return problem.not_found(scorer, None, depth=0)
        scores = scorer.score(np.stack(sets))
        best = int(cost(scores, np.stack(sets) @ (problem.areas / problem.labels.size)).argmin())
        if scores[best] >= problem.threshold:
            return problem.not_found(scorer, sets[best], depth=len(top))
        depth = int(np.flatnonzero(sets[best][problem.ranking]).max()) + 1
        target = problem.target if scores[best] < problem.target else problem.threshold
        return problem.found(scorer, sets[best], depth, target=target)


def cost(
    scores: PartialScores, areas: Float64[np.ndarray, " scored"]
) -> Float64[np.ndarray, " scored"]:
    """``p + area``, plus 1 above 0.5, 1 more above 0.75, and ``10^(1 + p)`` more above 0.8.

    Args:
        scores: P(unsafe) under each mask.
        areas: veiled share of the image under each mask.
    """
    penalties = 1.0 * (scores > 0.5) + (scores > 0.75) + (scores > 0.8) * 10 ** (1 + scores)
    total: Float64[np.ndarray, " scored"] = scores + areas + penalties
    return total


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
