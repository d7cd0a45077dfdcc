"""The veils of several categories, united and made irreducible again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.fills import Fill
from counterveil.search.minimal import cut
from counterveil.search.reduce import reduce
from counterveil.search.trial import Remembered, Sets, Trial, cover
from counterveil.types import Image, Labels, Mask, ScoreFunction


@dataclass(frozen=True)
class ScoreConstraint:
    """One category's say in a shared veil.

    Attributes:
        score: P(unsafe) of images.
        limit: the veiled image must score below it.
    """

    score: ScoreFunction
    limit: float


@dataclass(frozen=True, eq=False)
class Combined:
    """A veil that satisfies every demand.

    Attributes:
        mask: ``True`` = veiled.
        irreducible: proven that no single cell can be given back.
        evaluations: images scored, all demands together.
    """

    mask: Mask
    irreducible: bool
    evaluations: int


def combine(
    image: Image,
    masks: Sequence[Mask],
    demands: Sequence[ScoreConstraint],
    partition: Labels,
    *,
    fill: Fill,
    evaluations: int,
) -> Combined:
    """Unite masks, then give back each cell that no demand needs, largest first.

    One category's veil often hides what another's was for. A union that does not satisfy every
    demand itself (a veil can provoke another category) is returned whole.

    Args:
        image: the image.
        masks: a category's veil each.
        demands: what the united veil must satisfy.
        partition: cells to give back by.
        fill: what veiled pixels become.
        evaluations: most images scored for each demand.
    """
    union = np.logical_or.reduce(masks)
    cells = cut(union, partition)
    trials = [Trial(image, demand.score, fill, evaluations=evaluations) for demand in demands]
    scores = [Remembered(trial, cells) for trial in trials]

    def accept(sets: Sets) -> np.ndarray:
        verdict = np.ones(len(sets), bool)
        for score, demand in zip(scores, demands, strict=True):
            asked = np.flatnonzero(verdict)  # what one demand refuses, the others are not asked
            told = score(sets[asked])
            verdict[asked[: len(told)]] = told < demand.limit
            verdict = verdict[: asked[len(told)]] if len(told) < len(asked) else verdict
        return verdict

    everything = np.ones((1, int(cells.max()) + 1), bool)
    kept, irreducible = everything[0], False
    if accept(everything).all():
        reduced = reduce(kept, -np.bincount(cells[union]).astype(float), accept)
        kept, irreducible = reduced.cells, reduced.irreducible
    spent = sum(trial.evaluations for trial in trials)
    return Combined(cover(cells, kept[None])[0], irreducible, spent)
