"""SEDC: best-first search from single regions, by how much the score drops."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import numpy as np
from jaxtyping import Float64

from counterveil.fills import Fill
from counterveil.search.hunt import Chosen, Hunt
from counterveil.search.trial import Goal, Sets
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult


def sedc(
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
    """Search for evidence counterfactuals, as its code has it.

    Every region is veiled alone. Where some of them flip the decision, the one that lowers the
    score most is the answer. Else the set with the largest drop so far is expanded by every
    other region, and so on, until an expansion flips; the best of that expansion is the answer.
    Equal drops: first come, first expanded. The code never remembers sets, so that {a, b} is
    scored when it is reached from {a} and again from {b}; so does this, and it is counted.
    ``depth`` is the number of regions veiled. Where its code would go on for ever, or crash, this
    stops: at ``budget.regions`` regions, and at the budget's end. Importance does no more than
    order the names of the regions; ``refinement_labels`` and ``attribution_map`` are not used.

    The targeted variants are this search, here. SEDC-T expands the set with the largest gain of
    the target class, ``p_target(S) - p_target``, and T2 the one with the largest margin,
    ``p_target(S) - p_class(S)``; both stop when the target class wins. Of two classes, safe is
    the target: ``p_target = 1 - p``, so the gain is ``p - p(S)``, SEDC's own drop, and the margin
    is ``1 - 2 p(S)``, which has the same order; the target class wins just where the class is
    lost. They differ only where there are three classes or more, which a score does not show.

    References:
        Vermeire et al., "Explainable Image Classification with Evidence Counterfactual", Pattern
        Analysis and Applications 2022. Its code segments by quickshift(4, 200, 0.2) and fills
        with a Gaussian blur of 31 pixels, or the mean colour.
    """
    hunt = Hunt(image, score, labels, importance, fill=fill, goal=goal, budget=budget)
    if not hunt.needed:
        return hunt.nothing()
    regions, numbers = len(importance), count()
    frontier: list[tuple[float, int, Chosen]] = []
    lowest, best = np.inf, None
    sets = np.eye(regions, dtype=bool)
    while len(scores := hunt.score(sets)):
        at = int(scores.argmin())
        if scores[at] < lowest:
            lowest, best = float(scores[at]), sets[at]
        if lowest < goal.target:
            return hunt.found(sets[at], depth=int(sets[at].sum()))
        for chosen, p in zip(sets[: len(scores)], scores, strict=True):
            if chosen.sum() < min(budget.regions, regions):
                heappush(frontier, (float(p), next(numbers), chosen))  # most drop = least score
        if not frontier:
            break
        sets = _expand(heappop(frontier)[2])
    return hunt.lost(best, depth=0 if best is None else int(best.sum()))


def _expand(chosen: Chosen) -> Sets:
    """The set with each other region added, in the order of their numbers."""
    others = np.flatnonzero(~chosen)
    sets = np.repeat(chosen[None], len(others), axis=0)
    sets[np.arange(len(others)), others] = True
    return sets
