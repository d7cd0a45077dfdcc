"""Our search: find a flip, make it irreducible, then reduce it along a finer partition."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int
from scipy.ndimage import binary_closing, binary_fill_holes, label

from counterveil.search.evaluator import (
    MaskEvaluator,
    RegionScorer,
    RegionSet,
    RegionSets,
    first_below,
    prefixes,
)
from counterveil.search.problem import SearchProblem
from counterveil.search.reduce import Accept, exchange, reduce
from counterveil.types import AttributionMap, Labels, Mask, SearchResult

_PREFIX_SIZES = 12  # prefixes of the cells by attribution that may replace a mask


class Minimal:
    """Minimal, irreducible counterfactual.

    1. Score the prefixes of the ranking, as the paper does, until one is below ``target``. If
       none is, rank the regions again by their score when veiled alone (Definition 2), then by
       what each adds to the best set so far.
    2. Remove regions, largest first, until none can be removed. Without ``refinement_labels``,
       a few rounds of exchanges for smaller regions follow.
    3. Cut the mask along ``refinement_labels``. If the cells with the highest attribution in
       the whole image do as well and cover less, they replace it. Remove cells, lowest
       attribution first (largest first without ``attribution_map``); the score may rise by
       ``max_score_increase``. Close gaps that are smaller than a cell.

    Where only the threshold can be reached, the outcome is ``found`` and the result's
    ``target`` is the threshold.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels)
        flips = _FlipSearch(problem, scorer)
        limit = flips.run()
        if limit is None:
            mask = scorer.masks(flips.best[None])[0]
            return problem.result(
                "not_found", evaluator, mask, flips.best, flips.best_score, depth=flips.depth
            )
        accept = _below(scorer, limit)
        reduced = reduce(flips.best, -problem.areas, accept)
        if problem.refinement_labels is None:
            reduced = exchange(reduced, problem.areas, problem.importance, accept)
        mask, score = scorer.masks(reduced.cells[None])[0], scorer[reduced.cells]
        veil = _ScoredMask(mask, score, limit, reduced.irreducible)
        if problem.refinement_labels is not None:
            veil = replace(veil, limit=min(limit, score + problem.max_score_increase))
            labels, attribution_map = problem.refinement_labels, problem.attribution_map
            veil = _Refinement(evaluator, labels, attribution_map).run(veil)
        return problem.result(
            "found", evaluator, veil.mask, _touched_regions(problem, veil.mask), veil.score,
            depth=flips.depth, irreducible=veil.irreducible, target=veil.limit,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _ScoredMask:
    """A mask, the score under it, and the limit that the score stays below."""

    mask: Mask
    score: float
    limit: float
    irreducible: bool


def _below(scorer: RegionScorer, limit: float) -> Accept:
    return lambda sets: scorer.score_once(sets) < limit


def _touched_regions(problem: SearchProblem, mask: Mask) -> RegionSet:
    labels = problem.labels[mask & (problem.labels >= 0)]
    touched: RegionSet = np.bincount(labels, minlength=problem.regions_total) > 0
    return touched


@dataclass(frozen=True, eq=False)
class _Refinement:
    """Step 3: reduces a mask along a finer partition ``labels``."""

    evaluator: MaskEvaluator
    labels: Labels
    attribution_map: AttributionMap | None

    def run(self, veil: _ScoredMask) -> _ScoredMask:
        with self.evaluator.reserve(1):  # for the mask with closed gaps
            if self.attribution_map is not None:
                veil = self._smaller_prefix(veil, self.attribution_map)
            veil = self._remove_cells(veil)
        return self._close_gaps(veil)

    def _smaller_prefix(self, veil: _ScoredMask, attribution_map: AttributionMap) -> _ScoredMask:
        """The cells with the highest attribution, if they stay below the limit and cover less.

        A large region beside an object can hide the decision, and the budget may not suffice to
        reduce it. The object's own cells have a high attribution and hide it with less.
        """
        area = np.bincount(self.labels.ravel())
        order = np.argsort(-_cell_means(attribution_map, self.labels), kind="stable")
        most = int(np.searchsorted(np.cumsum(area[order]), veil.mask.sum()))
        if not most:
            return veil
        # Bisection over few, geometrically spaced sizes: each step costs one evaluation.
        sizes = np.unique(np.geomspace(1, most, _PREFIX_SIZES).round().astype(int))
        sets = prefixes(order[:most], len(area))[sizes - 1]
        scorer = self.evaluator.regions(self.labels)

        def is_below(index: int) -> bool:
            return first_below(scorer.score_once(sets[index][None]), veil.limit) is not None

        first = bisect_left(range(len(sets)), True, key=is_below)
        if first == len(sets):
            return veil
        mask = scorer.masks(sets[first][None])[0]
        return replace(veil, mask=mask, score=scorer[sets[first]])

    def _remove_cells(self, veil: _ScoredMask) -> _ScoredMask:
        """Cut a mask along the partition and remove the cells that it can do without."""
        cells = cells_inside(veil.mask, self.labels)
        area = np.bincount(cells[veil.mask])
        attribution_map = self.attribution_map
        priority = -area if attribution_map is None else _cell_means(attribution_map, cells)
        scorer = self.evaluator.regions(cells, score_all_veiled=veil.score)
        reduced = reduce(np.ones(len(area), bool), priority, _below(scorer, veil.limit))
        mask, score = scorer.masks(reduced.cells[None])[0], scorer[reduced.cells]
        return replace(veil, mask=mask, score=score, irreducible=reduced.irreducible)

    def _close_gaps(self, veil: _ScoredMask) -> _ScoredMask:
        """The mask with closed gaps, if its score can be computed and is below the limit."""
        mask = close_gaps(veil.mask, self.labels)
        if (mask == veil.mask).all():
            return veil
        scores = self.evaluator.score(mask[None])
        if first_below(scores, veil.limit) is None:
            return veil
        return replace(veil, mask=mask, score=float(scores[0]))


def _cell_means(attribution_map: AttributionMap, cells: Labels) -> Float64[np.ndarray, " cells"]:
    """Mean attribution of each cell; pixels with a negative label belong to none."""
    inside = cells >= 0
    sums = np.bincount(cells[inside], attribution_map[inside])
    means: np.ndarray = sums / np.bincount(cells[inside])
    return means


def close_gaps(mask: Mask, refinement_labels: Labels) -> Mask:
    """Veil the holes and slits of a mask that are smaller than a mean cell.

    They are left where outlines of the partition meet, and parts of the object show through.
    """
    cell_area = refinement_labels.size / (int(refinement_labels.max()) + 1)
    iterations = round(np.sqrt(cell_area) / 6)
    closed = binary_closing(mask, iterations=iterations) if iterations else mask
    gaps, count = label(binary_fill_holes(closed) & ~mask)
    small = np.bincount(gaps.ravel(), minlength=count + 1) < cell_area
    small[0] = False  # 0 is no gap
    filled: Mask = mask | small[gaps]
    return filled


def cells_inside(mask: Mask, labels: Labels) -> Labels:
    """Number the cells of a partition inside a mask from 0; -1 outside."""
    cells = np.full(mask.shape, -1, np.int32)
    cells[mask] = np.unique(labels[mask], return_inverse=True)[1]
    return cells


class _FlipSearch:
    """Looks for any set below the target; the cheapest orders of the regions come first.

    Attributes:
        best: set of regions with the lowest score so far.
        best_score: its score; infinite before any.
        depth: length of the prefix with the first flip, or number of prefixes without one.
    """

    def __init__(self, problem: SearchProblem, scorer: RegionScorer) -> None:
        self._problem, self._scorer = problem, scorer
        self._max_regions = min(problem.max_regions, problem.regions_total)
        self.best = np.zeros(problem.regions_total, bool)
        self.best_score = np.inf
        self.depth = 0

    def run(self) -> float | None:
        """The limit that ``best`` stays below: the target, else the threshold, else ``None``."""
        if any(self._score_prefixes(order) for order in self._orders()):
            return self._problem.target
        limits = (self._problem.target, self._problem.threshold)
        return next((limit for limit in limits if self.best_score < limit), None)

    def _orders(self) -> Iterator[Int[np.ndarray, " n"]]:
        yield self._problem.ranking[: self._max_regions]
        singles = self._scorer.score_once(np.eye(self._problem.regions_total, dtype=bool))
        yield np.argsort(singles, kind="stable")[: self._max_regions]
        yield from self._forward_selection()

    def _forward_selection(self) -> Iterator[Int[np.ndarray, " n"]]:
        """The order in which each region lowers the score of those before it most."""
        order: list[int] = []
        regions = self._problem.regions_total
        while len(order) < self._max_regions and self._scorer.evaluator.remaining:
            rest = np.setdiff1d(np.arange(regions), order)
            sets = np.zeros((len(rest), regions), bool)
            sets[:, order] = True
            sets[np.arange(len(rest)), rest] = True
            scores = self._scorer.score_once(sets)
            if not len(scores):
                return
            lowest = int(scores.argmin())
            order.append(int(rest[lowest]))
            self._update_best(sets[lowest], float(scores[lowest]), len(order))
            if scores[lowest] < self._problem.target:
                return
        yield np.array(order, int)

    def _score_prefixes(self, order: Int[np.ndarray, " n"]) -> bool:
        """Score the prefixes of an order until one is below the target; whether one is."""
        sets = prefixes(order, self._problem.regions_total)
        scores, first = self._scores_until_flip(sets)
        if not len(scores):
            return False
        flip = first_below(scores, self._problem.threshold)
        best = int(scores.argmin()) if first is None else first
        depth = len(scores) if flip is None else flip + 1
        self._update_best(sets[best], float(scores[best]), depth)
        return first is not None

    def _scores_until_flip(self, sets: RegionSets) -> tuple[np.ndarray, int | None]:
        scores, first = np.zeros(0), None
        while first is None and len(scores) < len(sets):
            # Batches of 1, 2, 4, ... sets: most flips are among the first.
            batch = sets[len(scores) : 2 * len(scores) + 1]
            some = self._scorer.score_once(batch)
            scores = np.concatenate([scores, some])
            first = first_below(scores, self._problem.target)
            if len(some) < len(batch):
                break
        return scores, first

    def _update_best(self, regions: RegionSet, score: float, depth: int) -> None:
        if score < self.best_score:
            self.best, self.best_score, self.depth = regions.copy(), score, depth
