"""Scoring an image under many masks, counted, within a budget."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.types import Image, Labels, Mask, Masks, MaskScoreFunction, ScoreFunction

Scored = Float64[np.ndarray, " scored"]
"""Scores of the first of the masks asked for: fewer when the budget ends."""

Sets = Bool[np.ndarray, "batch regions"]
"""Which regions each trial veils; ``True`` = veiled."""

_BATCH = 16
"""Veiled copies made at once: enough to fill a forward, few enough for large images."""


@dataclass(frozen=True)
class Goal:
    """What a search must reach.

    Attributes:
        threshold: the decision flips below this score (the paper: 0.5).
        target: viewing safety asks for more than a flip; the search stays below this one
            where it can, and below the threshold where it cannot.
        slack: by how much giving back pieces finer than a region may raise the score. A
            classifier is content when the most telling part of an object is hidden; its score
            still falls while the rest disappears, and what lowers it is not given back.
    """

    threshold: float = 0.5
    target: float = 0.5
    slack: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.target <= self.threshold <= 1:
            raise UsageError(
                f"a goal needs 0 < target <= threshold <= 1, got target {self.target} "
                f"and threshold {self.threshold}"
            )


class Trial:
    """Scores one image under masks, and counts what that costs.

    Attributes:
        evaluations: images scored.
        before: P(unsafe) of the image as it came, once that was asked for.
    """

    def __init__(self, image: Image, score: ScoreFunction, fill: Fill, *, evaluations: int) -> None:
        self._image = image
        self._score = score
        self._veiled = _veiled_score(image, score, fill)
        self._limit = evaluations
        self._kept = 0
        self.evaluations = 0
        self.before: float | None = None

    def keep_back(self, evaluations: int) -> None:
        """Keep so many forwards, if there are, until fewer are kept."""
        self._kept = evaluations

    @property
    def left(self) -> int:
        """Forwards that the budget still allows."""
        return self._limit - self._kept - self.evaluations

    def unveiled(self) -> float:
        """P(unsafe) of the image as it came."""
        self.evaluations += 1
        self.before = float(self._score(self._image[None])[0])
        return self.before

    def masks(self, masks: Masks) -> Scored:
        """P(unsafe) under each mask; fewer than asked for when the budget ends."""
        masks = masks[: max(self.left, 0)]
        self.evaluations += len(masks)
        starts = range(0, len(masks), _BATCH)
        parts = [self._veiled(masks[i : i + _BATCH]) for i in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def sets(self, labels: Labels, sets: Sets) -> Scored:
        """P(unsafe) with each set of regions veiled; fewer when the budget ends."""
        sets = sets[: max(self.left, 0)]
        starts = range(0, len(sets), _BATCH)
        parts = [self.masks(cover(labels, sets[i : i + _BATCH])) for i in starts]
        return np.concatenate(parts) if parts else np.zeros(0)


def _veiled_score(image: Image, score: ScoreFunction, fill: Fill) -> MaskScoreFunction:
    """Composited by the classifier where it can (on a device), else here."""
    score_masked = getattr(score, "score_masked", None)
    veiled: MaskScoreFunction | None = (
        score_masked(image, fill.painted(image)) if score_masked is not None else None
    )
    return veiled or (lambda masks: score(fill(image, masks)))


class Remembered:
    """Scores sets of the regions of one partition, each set once.

    Args:
        trial: what scores them; the unveiled image's score is taken from it.
        labels: the partition.
        everything: P(unsafe) with all regions veiled, where that is known.
    """

    def __init__(self, trial: Trial, labels: Labels, *, everything: float | None = None) -> None:
        self._trial, self._labels = trial, labels
        every = np.ones(int(labels.max()) + 1, bool)
        ends = [(~every, trial.before), (every, everything)]
        self._known = {row.tobytes(): score for row, score in ends if score is not None}

    def known(self, chosen: Bool[np.ndarray, " regions"]) -> float:
        """What a set scored that was asked for."""
        return self._known[chosen.tobytes()]

    def __call__(self, sets: Sets) -> Scored:
        """P(unsafe) with each set of regions veiled; fewer when the budget ends."""
        keys = [row.tobytes() for row in sets]
        new = {key: row for key, row in zip(keys, sets, strict=True) if key not in self._known}
        if new:
            scores = self._trial.sets(self._labels, np.stack(list(new.values())))
            self._known.update(zip(new, scores.tolist(), strict=False))
        told = itertools.takewhile(self._known.__contains__, keys)
        return np.array([self._known[key] for key in told], float)


def cover(labels: Labels, sets: Sets) -> Masks:
    """Pixel masks ``(B, H, W)`` of sets of regions; negative labels are never veiled."""
    padded = np.concatenate([sets, np.zeros((len(sets), 1), bool)], axis=1)
    masks: Masks = padded[:, labels]
    return masks


def prefixes(order: Int[np.ndarray, " n"], regions: int) -> Sets:
    """The first, the first two, ... regions of an order, as sets ``(n, regions)``."""
    sets = np.zeros((len(order), regions), bool)
    for row, region in enumerate(order):
        sets[row:, region] = True
    return sets


def first_below(scores: Scored, limit: float) -> int | None:
    """Index of the first score below a limit."""
    below = np.flatnonzero(scores < limit)
    return int(below[0]) if len(below) else None


def nothing(labels: Labels) -> Mask:
    """A mask that veils nothing."""
    return np.zeros(labels.shape, bool)
