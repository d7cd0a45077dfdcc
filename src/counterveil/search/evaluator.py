"""Scores of one image under many masks: batched, cached, counted, and bounded by a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile

import numpy as np
from jaxtyping import Bool, Float64, Int

from counterveil.fills import Fill
from counterveil.types import Image, Labels, Masks, MaskScoreFunction, ScoreFunction, Scores

PartialScores = Float64[np.ndarray, " scored"]
"""Scores of the first of the requested masks; fewer than requested when the budget ends."""

RegionSet = Bool[np.ndarray, " regions"]  # True = veiled
RegionSets = Bool[np.ndarray, "batch regions"]


class MaskEvaluator:
    """Scores one image under masks and counts the images scored; one evaluator for one search.

    Args:
        image: ``(H, W, 3)``.
        score: P(unsafe) of images ``(B, H, W, 3)``.
        fill: what veiled pixels become.
        max_evaluations: most images scored.
        score_masked: P(unsafe) of ``image`` under masks, where the classifier can composite
            them itself (on its device); ``None`` composites here.
        batch_size: masked copies made at once. 16 keep a network busy and fit into memory for
            large images.

    Attributes:
        on_scores: called after each batch with its masks and their scores; for observers such
            as benchmarks, which must not change them.
    """

    def __init__(
        self,
        image: Image,
        score: ScoreFunction,
        fill: Fill,
        *,
        max_evaluations: int = 512,
        score_masked: MaskScoreFunction | None = None,
        batch_size: int = 16,
    ) -> None:
        self._image, self._score = image, score
        self._score_masked = score_masked or (lambda masks: score(fill(image, masks)))
        self._max_evaluations = max_evaluations
        self._batch_size = batch_size
        self._evaluations = 0
        self._reserved = 0
        self._score_before: float | None = None
        self.on_scores: Callable[[Masks, Scores], None] | None = None

    @property
    def evaluations(self) -> int:
        """Images scored so far."""
        return self._evaluations

    @property
    def remaining(self) -> int:
        """Images that may still be scored, without those reserved."""
        return max(self._max_evaluations - self._reserved - self._evaluations, 0)

    @property
    def score_before(self) -> float:
        """P(unsafe) of the image without a mask; scored, and counted, at the first access."""
        if self._score_before is None:
            self._evaluations += 1
            self._score_before = float(self._score(self._image[None])[0])
        return self._score_before

    @contextmanager
    def reserve(self, evaluations: int) -> Iterator[None]:
        """Set evaluations aside for what follows the ``with`` block."""
        self._reserved += evaluations
        try:
            yield
        finally:
            self._reserved -= evaluations

    def score(self, masks: Masks) -> PartialScores:
        """P(unsafe) under each mask; fewer scores than masks when the budget ends."""
        return self._score_batches(masks, lambda batch: batch)

    def regions(
        self,
        labels: Labels,
        *,
        score_all_veiled: float | None = None,
        postprocess: Callable[[Masks], Masks] | None = None,
    ) -> RegionScorer:
        """A scorer of sets of regions of a label map ``(H, W)``.

        Args:
            labels: region of each pixel; negative labels are never veiled.
            score_all_veiled: the score with all regions veiled, where it is known.
            postprocess: applied to masks before they are scored.
        """
        scorer = RegionScorer(self, labels, postprocess)
        every = np.ones(int(labels.max()) + 1, bool)
        for regions, score in ((~every, self._score_before), (every, score_all_veiled)):
            if score is not None:
                scorer.remember(regions, score)
        return scorer

    def _score_batches(
        self, items: np.ndarray, to_masks: Callable[[np.ndarray], Masks]
    ) -> PartialScores:
        # Masks are made batch by batch: all at once would not fit into memory.
        items, parts = items[: self.remaining], []
        for start in range(0, len(items), self._batch_size):
            batch = items[start : start + self._batch_size]
            self._evaluations += len(batch)
            masks = to_masks(batch)
            parts.append(self._score_masked(masks))
            if self.on_scores is not None:
                self.on_scores(masks, parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0)


class RegionScorer:
    """Scores sets of regions of one label map and remembers the scores."""

    def __init__(
        self,
        evaluator: MaskEvaluator,
        labels: Labels,
        postprocess: Callable[[Masks], Masks] | None,
    ) -> None:
        self.evaluator = evaluator
        self._labels, self._postprocess = labels, postprocess
        self._scores: dict[bytes, float] = {}

    def score(self, sets: RegionSets) -> PartialScores:
        """P(unsafe) of each set, all of them scored anew; fewer when the budget ends."""
        scores = self.evaluator._score_batches(sets, self.masks)
        for regions, score in zip(sets, scores.tolist(), strict=False):
            self.remember(regions, score)
        return scores

    def score_once(self, sets: RegionSets) -> PartialScores:
        """P(unsafe) of each set; known sets are not scored again and cost nothing."""
        keys = [_key(regions) for regions in sets]
        unknown = {k: s for k, s in zip(keys, sets, strict=True) if k not in self._scores}
        if unknown:
            self.score(np.stack(list(unknown.values())))
        # The answer ends at the first set for which the budget did not suffice.
        known = takewhile(self._scores.__contains__, keys)
        return np.array([self._scores[key] for key in known], float)

    def remember(self, regions: RegionSet, score: float) -> None:
        """Store the score of a set."""
        self._scores[_key(regions)] = score

    def get(self, regions: RegionSet) -> float | None:
        """The score of a set; ``None`` where it was not scored."""
        return self._scores.get(_key(regions))

    def __getitem__(self, regions: RegionSet) -> float:
        """The score of a set that was scored."""
        return self._scores[_key(regions)]

    def masks(self, sets: RegionSets) -> Masks:
        """Pixel masks of sets of regions, ``(B, H, W)``."""
        masks = region_masks(self._labels, sets)
        return masks if self._postprocess is None else self._postprocess(masks)

    def is_irreducible(self, regions: RegionSet, limit: float) -> bool:
        """Whether each set with one region less was scored and none was below the limit."""
        for region in np.flatnonzero(regions):
            smaller = regions.copy()
            smaller[region] = False
            score = self.get(smaller)
            if score is None or score < limit:
                return False
        return True


def region_masks(labels: Labels, sets: RegionSets) -> Masks:
    """Pixel masks ``(B, H, W)`` of sets of regions; negative labels are never veiled."""
    # A last column that is never veiled: label -1 selects it.
    padded = np.concatenate([sets, np.zeros((len(sets), 1), bool)], axis=1)
    masks: Masks = padded[:, labels]
    return masks


def prefixes(order: Int[np.ndarray, " n"], regions: int) -> RegionSets:
    """The first, the first two, ... regions of an order, as sets ``(n, regions)``."""
    sets = np.zeros((len(order), regions), bool)
    for row, region in enumerate(order):
        sets[row:, region] = True
    return sets


def first_below(scores: PartialScores, limit: float) -> int | None:
    """Index of the first score below a limit; ``None`` where there is none."""
    below = np.flatnonzero(scores < limit)
    return int(below[0]) if len(below) else None


def _key(regions: RegionSet) -> bytes:
    return np.flatnonzero(regions).tobytes()
