"""Veil more, where a reasoner still answers yes under the veil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from counterveil.categories import ControlCode
from counterveil.fills import Fill
from counterveil.pipeline.components import Components, Settings
from counterveil.pipeline.scale import enlarge, shrink
from counterveil.reasoning.base import Reasoner
from counterveil.search import MaskEvaluator, SearchProblem
from counterveil.types import Image, Images, Mask, Scores

UNANSWERED = 1.0
"""P(yes) of a question that was not answered: it counts as still to be hidden."""


def answered_by(
    reasoner: Reasoner,
    image: Image,
    mask: Mask,
    questions: Sequence[str],
    code: ControlCode,
    *,
    fill: Fill,
    methods: Components,
    settings: Settings,
) -> Mask | None:
    """What else to veil, so that every one of these questions is answered by no.

    The search is the one that found the veil; its score is the largest P(yes) of the questions.

    Args:
        reasoner: who is asked.
        image: as it came.
        mask: what is veiled already.
        questions: still answered yes.
        code: as when they were asked first.
        fill: of the veil.
        methods: for partition and search.
        settings: for the budget.

    Returns:
        The mask to add; ``None`` where the budget did not suffice.
    """

    def score(images: Images) -> Scores:
        count = len(images)
        rows = reasoner.answer(list(images), [questions] * count, [code] * count, text=False)
        most = [max(UNANSWERED if a.p_yes is None else a.p_yes for a in row) for row in rows]
        return np.array(most, float)

    small = shrink(image, settings.side)
    veiled = fill(small, enlarge(mask, *small.shape[:2])[None])[0]
    labels = methods.segmentation.method(small)
    alone = np.stack([fill(veiled, (labels == n)[None])[0] for n in np.unique(labels)])
    found = methods.search.method(
        SearchProblem(labels, -score(alone), max_regions=settings.max_regions),
        MaskEvaluator(veiled, score, fill, max_evaluations=settings.max_evaluations),
    )
    return enlarge(found.mask, *mask.shape) if found.outcome == "found" else None
