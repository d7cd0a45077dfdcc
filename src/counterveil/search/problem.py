"""The problem that every search solves, and how its result is assembled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int

from counterveil.errors import UsageError
from counterveil.search.evaluator import MaskEvaluator, RegionScorer, RegionSet
from counterveil.types import AttributionMap, Labels, Mask, SearchOutcome, SearchResult


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """Find regions of an image such that veiling them brings its score below a target.

    Attributes:
        labels: region of each pixel, ``(H, W)``, from 0; negative labels are never veiled.
        importance: importance of each region (Definition 1), ``(regions,)``; higher is veiled
            earlier.
        threshold: the decision flips below this score, in ``(0, 1]`` (the paper: 0.5).
        target: the search stays below this score where it can, and below ``threshold`` where
            it cannot; in ``(0, threshold]``.
        max_regions: most regions of a set that a search may answer with (the paper: 10);
            ``minimal`` reduces this set in smaller pieces, which may touch others.
        max_score_increase: most that the score may rise while cells of ``refinement_labels``
            are removed from the mask. The most important part of an object already flips the
            decision; veiling the rest still lowers the score, and this bound keeps the rest.
        refinement_labels: finer partition ``(H, W)`` by which the mask is reduced; ``None``
            keeps whole regions.
        attribution_map: attribution ``(H, W)`` that orders the cells of ``refinement_labels``.

    Raises:
        UsageError: unless ``0 < target <= threshold <= 1``.
    """

    labels: Labels
    importance: Float64[np.ndarray, " regions"]
    threshold: float = 0.5
    target: float = 0.5
    max_regions: int = 10
    max_score_increase: float = 1.0
    refinement_labels: Labels | None = None
    attribution_map: AttributionMap | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target <= self.threshold <= 1:
            raise UsageError(
                f"a search needs 0 < target <= threshold <= 1, got target {self.target} "
                f"and threshold {self.threshold}"
            )

    @property
    def regions_total(self) -> int:
        """Number of regions."""
        return len(self.importance)

    @cached_property
    def ranking(self) -> Int[np.ndarray, " regions"]:
        """Regions, most important first; of equally important ones, the lower number first."""
        return np.argsort(-self.importance, kind="stable")

    @cached_property
    def areas(self) -> Int[np.ndarray, " regions"]:
        """Pixels in each region."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.regions_total)

    def not_needed(self, evaluator: MaskEvaluator) -> SearchResult:
        """The result for an image that scores below ``threshold`` as it is."""
        score, nothing = evaluator.score_before, np.zeros(self.labels.shape, bool)
        none = np.zeros(self.regions_total, bool)
        return self.result("not_needed", evaluator, nothing, none, score, irreducible=True)

    def found(
        self, scorer: RegionScorer, regions: RegionSet, depth: int, *, target: float | None = None
    ) -> SearchResult:
        """The result where a scored set of regions is below ``target``."""
        target = self.target if target is None else target
        return self.result(
            "found", scorer.evaluator, scorer.masks(regions[None])[0], regions, scorer[regions],
            depth=depth, irreducible=scorer.is_irreducible(regions, target), target=target,
        )  # fmt: skip

    def not_found(self, scorer: RegionScorer, best: RegionSet | None, depth: int) -> SearchResult:
        """The result without a flip; ``best`` is the best attempt, if any was made."""
        best = np.zeros(self.regions_total, bool) if best is None else best
        mask = scorer.masks(best[None])[0]
        return self.result("not_found", scorer.evaluator, mask, best, scorer[best], depth=depth)

    def result(
        self,
        outcome: SearchOutcome,
        evaluator: MaskEvaluator,
        mask: Mask,
        regions: RegionSet,
        score: float,
        *,
        depth: int = 0,
        irreducible: bool = False,
        target: float | None = None,
    ) -> SearchResult:
        """The result for a mask that veils ``regions``; ``score`` is the score under it."""
        return SearchResult(
            outcome=outcome,
            mask=mask,
            regions=tuple(int(region) for region in self.ranking if regions[region]),
            depth=depth,
            regions_total=self.regions_total,
            score_before=evaluator.score_before,
            score_after=score,
            irreducible=irreducible,
            evaluations=evaluator.evaluations,
            target=self.target if target is None else target,
        )
