"""Our search: find a flip, make it irreducible, then give back at finer granularity."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int
from scipy.ndimage import binary_closing, binary_fill_holes, label

from counterveil.fills import Fill
from counterveil.search.exchange import exchange
from counterveil.search.reduce import reduce
from counterveil.search.trial import (
    Goal,
    Remembered,
    Sets,
    Trial,
    cover,
    first_below,
    nothing,
    prefixes,
)
from counterveil.types import (
    AttributionMap,
    Budget,
    Image,
    Labels,
    Mask,
    ScoreFunction,
    SearchResult,
)

_HOTTEST = 12
"""Veils of the hottest pieces among which one is looked for in the place of the regions' veil."""


@dataclass(frozen=True, eq=False)
class _Veil:
    """A veil, the score under it, and the limit that it stays below."""

    mask: Mask
    score: float
    limit: float
    irreducible: bool


@dataclass(frozen=True, eq=False)
class _Flip:
    """A set of regions that brings the score below a limit."""

    regions: np.ndarray  # (K,) bool
    limit: float


def minimal(
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
    """Minimal, irreducible counterfactual.

    1. The prefixes of the regions by importance, as the paper, until one goes below the target.
       Where none does, the regions are ranked again by what veiling each alone does to the
       score (Definition 2), and then by what each adds to the best veil so far.
    2. Regions are given back, largest first, until none can be; without ``refinement_labels``, a few rounds
       of exchanges for smaller regions follow.
    3. The veil is cut along ``refinement_labels``; where the hottest pieces of the whole image do as much
       and cover less, they take its place. Pieces are given back likewise, coolest first; the
       score may rise by ``goal.slack`` at most. Gaps smaller than a piece are closed.

    Args:
        image: the image.
        score: P(unsafe) of images.
        labels: the partition.
        importance: a region, higher = veiled earlier.
        fill: what veiled pixels become; the one that will ship.
        goal: threshold of the decision, and the target to stay below.
        budget: most regions at once, most images scored.
        refinement_labels: a finer partition to give back by; ``None`` stops after step 2.
        attribution_map: attribution, orders the finer pieces; where ``None``, their size orders those of
            the veil, and no others are tried.

    Returns:
        The counterfactual. Where the target cannot be met but the threshold can, it is
        ``found`` with ``target`` set to the threshold.
    """
    trial = Trial(image, score, fill, evaluations=budget.evaluations)
    before = trial.unveiled()
    result = SearchResult(
        outcome="not_needed",
        mask=nothing(labels),
        regions=(),
        depth=0,
        regions_total=len(importance),
        score_before=before,
        score_after=before,
        irreducible=True,
        evaluations=1,
        target=goal.target,
    )
    if before < goal.threshold:
        return result
    scores = Remembered(trial, labels)
    finder = _Finder(trial, scores, importance, goal, budget)
    flip = finder.find()
    if flip is None:
        mask = cover(labels, finder.best[None])[0]
        return replace(
            result,
            outcome="not_found",
            mask=mask,
            regions=_touched(labels, mask, importance),
            depth=finder.depth,
            score_after=finder.best_score,
            irreducible=False,
            evaluations=trial.evaluations,
        )
    areas = np.bincount(labels.ravel(), minlength=len(importance))
    accept = _Acceptance(scores, flip.limit)
    kept = reduce(flip.regions, -areas, accept)
    if refinement_labels is None:
        kept = exchange(kept, areas, importance, accept)
    mask, after = cover(labels, kept.cells[None])[0], scores.known(kept.cells)
    veil = _Veil(mask, after, flip.limit, kept.irreducible)
    if refinement_labels is not None:
        veil = _refined(trial, veil, refinement_labels, attribution_map, goal.slack)
    return replace(
        result,
        outcome="found",
        mask=veil.mask,
        regions=_touched(labels, veil.mask, importance),
        depth=finder.depth,
        score_after=veil.score,
        irreducible=veil.irreducible,
        evaluations=trial.evaluations,
        target=veil.limit,
    )


def _touched(
    labels: Labels, mask: Mask, importance: Float64[np.ndarray, " regions"]
) -> tuple[int, ...]:
    """The regions that a veil touches, most important first."""
    touched = np.unique(labels[mask])
    return tuple(int(r) for r in touched[np.argsort(-importance[touched], kind="stable")])


def _refined(
    trial: Trial,
    veil: _Veil,
    refinement_labels: Labels,
    attribution_map: AttributionMap | None,
    slack: float,
) -> _Veil:
    """Give back pieces of a veil, and close the gaps that leaves."""
    veil = replace(veil, limit=min(veil.limit, veil.score + slack))
    trial.keep_back(1)
    if attribution_map is not None:
        veil = _hottest(trial, veil, refinement_labels, attribution_map)
    veil = _give_back(trial, veil, refinement_labels, attribution_map)
    trial.keep_back(0)
    return _closed(trial, veil, refinement_labels)


def _hottest(
    trial: Trial, veil: _Veil, refinement_labels: Labels, attribution_map: AttributionMap
) -> _Veil:
    """A few of the hottest pieces that do what a veil does, where they cover less.

    A large region beside an object can hide the decision, and shrink little within the budget; the
    object's own pieces, which the heat points at, hide it with less. The fewest are looked for by
    bisection, among a few numbers of pieces, each larger than the last by the same factor.
    """
    area = np.bincount(refinement_labels.ravel())
    order = np.argsort(-_means(attribution_map, refinement_labels), kind="stable")
    most = int(np.searchsorted(np.cumsum(area[order]), veil.mask.sum()))
    if not most:
        return veil
    counts = np.unique(np.geomspace(1, most, _HOTTEST).round().astype(int))
    sets = prefixes(order[:most], len(area))[counts - 1]
    scores = Remembered(trial, refinement_labels)

    def enough(at: int) -> bool:
        return first_below(scores(sets[at][None]), veil.limit) is not None

    first = bisect_left(range(len(sets)), True, key=enough)
    if first == len(sets):
        return veil
    return replace(
        veil, mask=cover(refinement_labels, sets[first][None])[0], score=scores.known(sets[first])
    )


def _give_back(
    trial: Trial, veil: _Veil, refinement_labels: Labels, attribution_map: AttributionMap | None
) -> _Veil:
    """Cut a veil along a finer partition, and give back what pieces it can."""
    cells = cut(veil.mask, refinement_labels)
    size = np.bincount(cells[veil.mask])
    warmth = -size if attribution_map is None else _means(attribution_map, cells)
    scores = Remembered(trial, cells, everything=veil.score)
    reduced = reduce(np.ones(len(size), bool), warmth, _Acceptance(scores, veil.limit))
    return replace(
        veil,
        mask=cover(cells, reduced.cells[None])[0],
        score=scores.known(reduced.cells),
        irreducible=reduced.irreducible,
    )


def _means(attribution_map: AttributionMap, cells: Labels) -> Float64[np.ndarray, " cells"]:
    """Mean heat of each cell; what is in none has a negative label."""
    inside = cells >= 0
    means: np.ndarray = np.bincount(cells[inside], attribution_map[inside]) / np.bincount(
        cells[inside]
    )
    return means


def _closed(trial: Trial, veil: _Veil, refinement_labels: Labels) -> _Veil:
    """A veil with its gaps closed, where that does no harm and can be scored."""
    mask = close_gaps(veil.mask, refinement_labels)
    if (mask == veil.mask).all():
        return veil
    scores = trial.masks(mask[None])
    if first_below(scores, veil.limit) is None:
        return veil
    return replace(veil, mask=mask, score=float(scores[0]))


def close_gaps(mask: Mask, refinement_labels: Labels) -> Mask:
    """Veil the holes and slits of a veil that are smaller than a piece of the finer partition.

    They are what a partition's outline leaves over, and an eye looks through them.
    """
    piece = refinement_labels.size / (int(refinement_labels.max()) + 1)
    slit = round(np.sqrt(piece) / 6)
    closed = binary_fill_holes(binary_closing(mask, iterations=slit) if slit else mask)
    gaps, count = label(closed & ~mask)
    small = np.bincount(gaps.ravel(), minlength=count + 1) < piece
    small[0] = False
    filled: Mask = mask | small[gaps]
    return filled


def cut(mask: Mask, refinement_labels: Labels) -> Labels:
    """Number the pieces of a finer partition inside a mask from 0; -1 outside."""
    cells = np.full(mask.shape, -1, np.int32)
    cells[mask] = np.unique(refinement_labels[mask], return_inverse=True)[1]
    return cells


class _Acceptance:
    """Sets of cells that keep the score below a limit."""

    def __init__(self, scores: Remembered, limit: float) -> None:
        self._scores = scores
        self._limit = limit

    def __call__(self, sets: Sets) -> np.ndarray:
        below: np.ndarray = self._scores(sets) < self._limit
        return below


class _Finder:
    """Looks for any flip, in the order of what it costs."""

    def __init__(
        self,
        trial: Trial,
        scores: Remembered,
        importance: Float64[np.ndarray, " regions"],
        goal: Goal,
        budget: Budget,
    ) -> None:
        self._trial = trial
        self._scores = scores
        self._importance = importance
        self._goal = goal
        self._most = min(budget.regions, len(importance))
        self.best = np.zeros(len(importance), bool)
        self.best_score = np.inf
        self.depth = 0

    def find(self) -> _Flip | None:
        """The first set below the target; else the lowest below the threshold."""
        for order in self._orders():
            if self._try(order):
                return _Flip(self.best, self._goal.target)
        if self.best_score < self._goal.target:
            return _Flip(self.best, self._goal.target)
        if self.best_score < self._goal.threshold:
            return _Flip(self.best, self._goal.threshold)
        return None

    def _orders(self) -> Iterator[Int[np.ndarray, " n"]]:
        by_importance = np.argsort(-self._importance, kind="stable")[: self._most]
        yield by_importance
        singles = self._scores(np.eye(len(self._importance), dtype=bool))
        yield np.argsort(singles, kind="stable")[: self._most]
        yield from self._grown()

    def _grown(self) -> Iterator[Int[np.ndarray, " n"]]:
        """Regions in the order in which each adds most to those before it."""
        order: list[int] = []
        while len(order) < self._most and self._trial.left > 0:
            rest = np.setdiff1d(np.arange(len(self._importance)), order)
            sets = np.zeros((len(rest), len(self._importance)), bool)
            sets[:, order] = True
            sets[np.arange(len(rest)), rest] = True
            scores = self._scores(sets)
            if not len(scores):
                return
            order.append(int(rest[scores.argmin()]))
            self._note(sets[int(scores.argmin())], float(scores.min()), len(order))
            if scores.min() < self._goal.target:
                return
        yield np.array(order, int)

    def _try(self, order: Int[np.ndarray, " n"]) -> bool:
        """Score the prefixes of an order; whether one is below the target."""
        sets = prefixes(order, len(self._importance))
        scores, met = np.zeros(0), None
        while met is None and len(scores) < len(sets):
            asked = sets[len(scores) : 2 * len(scores) + 1]  # most flips are among the first
            some = self._scores(asked)
            scores = np.concatenate([scores, some])
            met = first_below(scores, self._goal.target)
            if len(some) < len(asked):
                break
        if not len(scores):
            return False
        flipped = first_below(scores, self._goal.threshold)
        at = int(scores.argmin()) if met is None else met
        self._note(sets[at], float(scores[at]), len(scores) if flipped is None else flipped + 1)
        return met is not None

    def _note(self, regions: np.ndarray, score: float, depth: int) -> None:
        if score < self.best_score:
            self.best, self.best_score, self.depth = regions.copy(), score, depth
