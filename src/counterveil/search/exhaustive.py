"""The true minimum: the least area that flips the decision, over all subsets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.search.hunt import BATCH, Hunt
from counterveil.search.trial import Goal, Sets, first_below
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult

MOST = 16
"""Regions whose 65,535 subsets are still tried; the next one doubles them."""


def exhaustive(
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
    """All subsets of at most ``budget.regions`` regions, the least area first.

    The first below the target is the minimum, and therefore irreducible; nothing is assumed of
    the score. Equal areas: fewer regions, then the more important ones, first. It is what other
    searches are measured against, and wants a large budget: where that ends first, nothing was
    found. ``depth`` is the number of regions veiled; ``refinement_labels`` and ``attribution_map`` are not used.

    Raises:
        UsageError: more than 16 regions.
    """
    if len(importance) > MOST:
        raise UsageError(
            f"the exhaustive search tries all subsets of at most {MOST} regions, got "
            f"{len(importance)}; take a coarser partition or another search"
        )
    hunt = Hunt(image, score, labels, importance, fill=fill, goal=goal, budget=budget)
    if not hunt.needed:
        return hunt.nothing()
    sets = _by_area(hunt, budget.regions)[: hunt.left]
    lowest, best = np.inf, None
    for start in range(0, len(sets), BATCH):
        batch = sets[start : start + BATCH]
        scores = hunt.score(batch)
        first = first_below(scores, goal.target)
        if first is not None:
            return hunt.found(batch[first], depth=int(batch[first].sum()))
        if scores.min() < lowest:
            lowest, best = float(scores.min()), batch[int(scores.argmin())]
    return hunt.lost(best, depth=0 if best is None else int(best.sum()))


def _by_area(hunt: Hunt, most: int) -> Sets:
    """Every subset of at most so many regions, ``(n, regions)``, the least area first."""
    regions = len(hunt.ranked)
    codes = np.arange(1, 2**regions)
    in_order = (codes[:, None] >> np.arange(regions)) & 1 > 0  # columns: most important first
    sets = np.zeros_like(in_order)
    sets[:, hunt.ranked] = in_order
    # Rounded, so that equal areas added up in another order stay equal.
    areas, sizes = (sets @ hunt.areas).round(12), sets.sum(axis=1)
    order = np.lexsort((codes, sizes, areas))
    ordered: Sets = sets[order[sizes[order] <= most]]
    return ordered
