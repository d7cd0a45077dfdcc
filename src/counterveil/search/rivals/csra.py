"""CSRA: all subsets of the few most important regions, ranked by a cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float64

from counterveil.errors import UsageError
from counterveil.search.evaluator import MaskEvaluator, PartialScores
from counterveil.search.problem import SearchProblem
from counterveil.search.rivals import subsets
from counterveil.types import SearchResult


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
