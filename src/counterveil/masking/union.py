"""Masks of several categories, united and made irreducible again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil.search import MaskEvaluator
from counterveil.search.evaluator import RegionSets, region_masks
from counterveil.search.minimal import cells_inside
from counterveil.search.reduce import reduce
from counterveil.types import Labels, Mask


@dataclass(frozen=True)
class ScoreConstraint:
    """The score of one classifier under a mask must stay below a limit.

    Attributes:
        evaluator: scores the image with that classifier, within its budget.
        limit: in ``(0, 1]``.
    """

    evaluator: MaskEvaluator
    limit: float


@dataclass(frozen=True, eq=False)
class UnitedMask:
    """A mask for several categories.

    Attributes:
        mask: ``True`` = veiled.
        irreducible: each cell was tried, and none can be removed alone.
        evaluations: images scored by all constraints together.
    """

    mask: Mask
    irreducible: bool
    evaluations: int


def unite_masks(
    masks: Sequence[Mask], constraints: Sequence[ScoreConstraint], refinement_labels: Labels
) -> UnitedMask:
    """Unite masks, then remove the cells that no constraint needs, largest first.

    The mask of one category often hides what the mask of another was for. A union that violates
    a constraint (a mask can raise the score of another category) is returned whole.

    Args:
        masks: one mask for each category, ``(H, W)``.
        constraints: what the united mask must satisfy; their evaluators are new.
        refinement_labels: partition by which cells are removed.
    """
    union = np.logical_or.reduce(masks)
    cells = cells_inside(union, refinement_labels)
    scorers = [constraint.evaluator.regions(cells) for constraint in constraints]

    def accept(sets: RegionSets) -> np.ndarray:
        accepted = np.ones(len(sets), bool)
        for scorer, constraint in zip(scorers, constraints, strict=True):
            open_sets = np.flatnonzero(accepted)  # rejected sets are not scored again
            scores = scorer.score_once(sets[open_sets])
            accepted[open_sets[: len(scores)]] = scores < constraint.limit
            if len(scores) < len(open_sets):  # the budget ended: no answer from here on
                accepted = accepted[: open_sets[len(scores)]]
        return accepted

    kept, irreducible = np.ones(int(cells.max()) + 1, bool), False
    if accept(kept[None]).all():
        reduced = reduce(kept, -np.bincount(cells[union]).astype(float), accept)
        kept, irreducible = reduced.cells, reduced.irreducible
    evaluations = sum(constraint.evaluator.evaluations for constraint in constraints)
    return UnitedMask(region_masks(cells, kept[None])[0], irreducible, evaluations)
