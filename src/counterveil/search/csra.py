"""uGuard's search, CSRA: all subsets of the few most important regions, by a cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.search.hunt import Hunt, batches, powerset
from counterveil.search.trial import Goal, Scored
from counterveil.types import AttributionMap, Budget, Image, Labels, ScoreFunction, SearchResult


@dataclass(frozen=True)
class Csra:
    """Counterfactual super-region attribution: the search part, as its code has it.

    Every subset of the ``regions`` most important regions is scored (255 of 8, 1,023 of 10); it
    never stops early. The cheapest is the answer, and the search succeeds where that one's score
    is below the threshold; ``goal.target`` is not looked at, so ``target`` of the answer is the
    threshold unless the answer happens to be below ``goal.target`` too. ``depth`` is the shortest
    prefix of the ranking that holds the veil. Not proven irreducible as a rule: a subset with one
    region less may flip, too, and cost more.

    Attributes:
        regions: how many are considered (the code: 8; the paper compares with 10).

    References:
        Bethany et al., "Towards Targeted Obfuscation of Adversarial Unsafe Images using
        Reconstruction and Counterfactual Super Region Attribution Explainability", USENIX
        Security 2023. Its code ranks by Grad-CAM of the last block, over SLIC with 30 segments
        and compactness 50, and fills with black.
    """

    regions: int = 8

    def __post_init__(self) -> None:
        if self.regions < 1:
            raise UsageError(f"CSRA considers at least 1 region, got {self.regions}")

    def __call__(
        self,
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
        """Search; ``refinement_labels`` and ``attribution_map`` are not used."""
        hunt = Hunt(image, score, labels, importance, fill=fill, goal=goal, budget=budget)
        if not hunt.needed:
            return hunt.nothing()
        top = hunt.ranked[: self.regions]
        sets = list(batches(powerset(top, len(importance), most=budget.regions), hunt.left))
        if not sets:
            return hunt.lost(None, depth=0)
        tried = np.concatenate(sets)
        scores = hunt.score(tried)
        best = int(cost(scores, tried @ hunt.areas).argmin())
        if scores[best] >= goal.threshold:
            return hunt.lost(tried[best], depth=len(top))
        target = goal.target if scores[best] < goal.target else goal.threshold
        return hunt.found(tried[best], depth=hunt.reach(tried[best]), target=target)


def cost(scores: Scored, areas: Float64[np.ndarray, " scored"]) -> Float64[np.ndarray, " scored"]:
    """``p + area``, and fines: 1 above 0.5, 1 more above 0.75, ``10^(1 + p)`` more above 0.8.

    Args:
        scores: P(unsafe) under each veil.
        areas: its share of the image.
    """
    fines = 1.0 * (scores > 0.5) + (scores > 0.75) + (scores > 0.8) * 10 ** (1 + scores)
    total: Float64[np.ndarray, " scored"] = scores + areas + fines
    return total
