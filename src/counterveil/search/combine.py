"""The veils of several categories, united and made irreducible again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.search.irreducible import reduce
from counterveil.search.minimal import cut
from counterveil.search.trial import Remembered, Sets, Trial, cover
from counterveil.types import Image, Labels, Mask, Score
from counterveil.veil import Fill


@dataclass(frozen=True)
class Demand:
    """One category's say in a shared veil.

    Attributes:
        score: P(unsafe) of images.
        limit: the veiled image must score below it.
    """

    score: Score
    limit: float


@dataclass(frozen=True, eq=False)
class Combined:
    """A veil that satisfies every demand.

    Attributes:
        mask: ``True`` = veiled.
        irreducible: proven that no single cell can be given back.
        forwards: images scored, all demands together.
    """

    mask: Mask
    irreducible: bool
    forwards: int


def combine(
    image: Image,
    masks: Sequence[Mask],
    demands: Sequence[Demand],
    partition: Labels,
    *,
    fill: Fill,
    forwards: int,
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
        forwards: most images scored for each demand.
    """
    union = np.logical_or.reduce(masks)
    cells = cut(union, partition)
    trials = [Trial(image, demand.score, fill, forwards=forwards) for demand in demands]
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
    spent = sum(trial.forwards for trial in trials)
    return Combined(cover(cells, kept[None])[0], irreducible, spent)
