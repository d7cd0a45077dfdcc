"""The paper's search: veil the most important region, the first two, ... until a flip."""

from __future__ import annotations

from counterveil.search.evaluator import MaskEvaluator, first_below, prefixes
from counterveil.search.problem import SearchProblem
from counterveil.types import SearchResult


class Greedy:
    """Informed greedy region search.

    The first prefix of the ranking below ``target`` is the answer. ``refinement_labels`` and
    ``attribution_map`` are not used.

    References:
        Bethany et al., "Image Safeguarding: Reasoning with Conditional Vision Language Model
        and Obfuscating Unsafe Content Counterfactually", AAAI 2024.
    """

    def __call__(self, problem: SearchProblem, evaluator: MaskEvaluator) -> SearchResult:
        """Search."""
        if evaluator.score_before < problem.threshold:
            return problem.not_needed(evaluator)
        scorer = evaluator.regions(problem.labels)
        sets = prefixes(problem.ranking[: problem.max_regions], problem.regions_total)
        # More regions do not always lower the score, so bisection could miss the first flip.
        scores = scorer.score(sets)
        first = first_below(scores, problem.target)
        if first is not None:
            return problem.found(scorer, sets[first], first + 1)
        best = sets[int(scores.argmin())] if len(scores) else None
        return problem.not_found(scorer, best, len(scores))
