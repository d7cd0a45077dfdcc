"""The paper's search: veil the top region, the top two, ... until the decision flips."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from counterveil.fills import Fill
from counterveil.search.trial import Goal, Trial, cover, first_below, nothing, prefixes
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult


def greedy(
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
    """Informed greedy region search.

    Prefixes need not be monotone in the score, so no bisection: all of them are scored, in one
    batch, and the first below ``goal.target`` is the answer. ``refinement_labels`` and ``attribution_map`` are not
    used.

    References:
        Bethany et al., AAAI 2024, "Counterfactual Generation Using Informed Subobject Region
        Search".
    """
    trial = Trial(image, score, fill, evaluations=budget.evaluations)
    before = trial.unveiled()
    regions = len(importance)
    if before < goal.threshold:
        return SearchResult(
            "not_needed", nothing(labels), (), 0, regions, before, before, True, 1, goal.target
        )
    order = np.argsort(-importance, kind="stable")[: budget.regions]
    sets = prefixes(order, regions)
    scores = trial.sets(labels, sets)
    depth = first_below(scores, goal.target)
    if depth is None and not len(scores):
        return SearchResult(
            "not_found", nothing(labels), (), 0, regions, before, before, False, 1, goal.target
        )
    best = int(scores.argmin()) if depth is None else depth
    return SearchResult(
        outcome="not_found" if depth is None else "found",
        mask=cover(labels, sets[best : best + 1])[0],
        regions=tuple(int(region) for region in order[: best + 1]),
        depth=(len(scores) if depth is None else depth + 1),
        regions_total=regions,
        score_before=before,
        score_after=float(scores[best]),
        irreducible=depth == 0,
        evaluations=trial.evaluations,
        target=goal.target,
    )
