"""What the rival searches share: sets of regions scored and remembered, and answers made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, islice

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.ndimage import binary_dilation

from counterveil.fills import Fill
from counterveil.search.trial import Goal, Scored, Sets, Trial, cover, nothing
from counterveil.types import Budget, Image, Labels, Masks, Outcome, ScoreFunction, SearchResult

Chosen = Bool[np.ndarray, " regions"]
"""Which regions are veiled; ``True`` = veiled."""

BATCH = 16
"""Sets scored at once; the published reference search uses the same number."""


class Hunt:
    """One search on one image: it scores sets of regions, and remembers what they scored.

    Args:
        image: the image.
        score: P(unsafe) of images.
        labels: the partition.
        importance: a region.
        fill: what veiled pixels become.
        goal: what must be reached.
        budget: most images scored; the unveiled one, scored here, is the first of them.
        grown: pixels by which the veil reaches beyond its regions.

    Attributes:
        before: P(unsafe) of the image as it came.
        needed: whether it must be veiled at all.
        areas: of each region, as a share of the image, ``(regions,)``.
        ranked: the regions, most important first.
    """

    def __init__(
        self,
        image: Image,
        score: ScoreFunction,
        labels: Labels,
        importance: Float64[np.ndarray, " regions"],
        *,
        fill: Fill,
        goal: Goal,
        budget: Budget,
        grown: int = 0,
    ) -> None:
        self._trial = Trial(image, score, fill, evaluations=budget.evaluations)
        self._labels, self._importance, self._goal, self._grown = labels, importance, goal, grown
        self.before = self._trial.unveiled()
        self.needed = self.before >= goal.threshold
        self.areas = np.bincount(labels[labels >= 0], minlength=len(importance)) / labels.size
        self.ranked: Int[np.ndarray, " regions"] = np.argsort(-importance, kind="stable")
        self._scores = {_key(np.zeros(len(importance), bool)): self.before}

    @property
    def left(self) -> int:
        """Images that the budget still allows to score."""
        return max(self._trial.left, 0)

    def score(self, sets: Sets) -> Scored:
        """P(unsafe) with each set of regions veiled; fewer when the budget ends."""
        sets = sets[: self.left]
        starts = range(0, len(sets), BATCH)
        parts = [self._trial.masks(self._masks(sets[i : i + BATCH])) for i in starts]
        scores = np.concatenate(parts) if parts else np.zeros(0)
        self._scores |= {_key(row): float(p) for row, p in zip(sets, scores, strict=True)}
        return scores

    def known(self, chosen: Chosen) -> float | None:
        """What a set scored; ``None`` where it was not tried."""
        return self._scores.get(_key(chosen))

    def nothing(self) -> SearchResult:
        """The answer where no veil is needed."""
        return self._answer("not_needed", None, 0, self._goal.target)

    def found(self, chosen: Chosen, *, depth: int, target: float | None = None) -> SearchResult:
        """The answer where a set that was scored flips the decision."""
        return self._answer("found", chosen, depth, self._goal.target if target is None else target)

    def lost(self, chosen: Chosen | None, *, depth: int) -> SearchResult:
        """The answer where none flips; ``chosen`` is the best attempt, if there was any."""
        return self._answer("not_found", chosen, depth, self._goal.target)

    def reach(self, chosen: Chosen) -> int:
        """Length of the shortest prefix of the ranking that holds a set (the paper's depth)."""
        return int(np.flatnonzero(chosen[self.ranked]).max()) + 1

    def _answer(
        self, outcome: Outcome, chosen: Chosen | None, depth: int, target: float
    ) -> SearchResult:
        veiled = np.zeros(len(self._importance), bool) if chosen is None else chosen
        after = self.known(veiled)
        assert after is not None, "an answer must have been scored"
        return SearchResult(
            outcome=outcome,
            mask=nothing(self._labels) if chosen is None else self._masks(veiled[None])[0],
            regions=tuple(int(region) for region in self.ranked if veiled[region]),
            depth=depth,
            regions_total=len(self._importance),
            score_before=self.before,
            score_after=after,
            irreducible=outcome != "not_found" and self._proven(veiled, target),
            evaluations=self._trial.evaluations,
            target=target,
        )

    def _proven(self, chosen: Chosen, limit: float) -> bool:
        """Whether every set with one region less was tried, and none was below the limit."""
        for region in np.flatnonzero(chosen):
            less = chosen.copy()
            less[region] = False
            score = self.known(less)
            if score is None or score < limit:
                return False
        return True

    def _masks(self, sets: Sets) -> Masks:
        masks = cover(self._labels, sets)
        if not self._grown:
            return masks
        square = np.ones((1, 3, 3), bool)
        grown: Masks = binary_dilation(masks, square, iterations=self._grown)
        return grown


def powerset(
    order: Sequence[int] | Int[np.ndarray, " n"], regions: int, *, most: int, newest: bool = False
) -> Iterator[Chosen]:
    """Subsets of some regions, the smallest first, then as ``itertools.combinations`` has them.

    Args:
        order: the regions.
        regions: of the whole partition.
        most: regions in a subset.
        newest: only those that hold the last region of the order.
    """
    items = [int(region) for region in order]
    sizes = range(1, min(most, len(items)) + 1)
    for some in chain.from_iterable(combinations(items, size) for size in sizes):
        if newest and some[-1] != items[-1]:
            continue
        chosen = np.zeros(regions, bool)
        chosen[list(some)] = True
        yield chosen


def batches(sets: Iterator[Chosen], most: int, size: int = BATCH) -> Iterator[Sets]:
    """The first ``most`` sets, in stacks ``(size, regions)``."""
    some = islice(sets, most)
    while batch := list(islice(some, size)):
        yield np.stack(batch)


def _key(chosen: Chosen) -> bytes:
    return np.packbits(chosen).tobytes()
