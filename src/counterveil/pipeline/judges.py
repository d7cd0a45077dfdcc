"""Classifiers that took no part in the search judge the veil; it grows until they agree.

The smallest veil that flips one classifier may hide a scrap that only this classifier needs. A
second classifier of the same category knows nothing of that scrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from counterveil.categories import Category
from counterveil.pipeline.assess import Assessment
from counterveil.pipeline.components import CategoryClassifier, Context
from counterveil.pipeline.explain import Explanation
from counterveil.pipeline.mask import larger_level_sets, resize_mask, shrink_image
from counterveil.pipeline.release import release
from counterveil.pipeline.veil import VeiledFrame
from counterveil.record import Judgement
from counterveil.types import Classifier, Image, Mask

MAX_AREA = 0.6
"""Largest part of the image that a veil grows to for a judge; beyond it the veil hides nothing in
particular, so the record says that the judges dispute it."""

_MAX_REGIONS = 6
"""Most regions that join a veil for the judges."""

_AREA_COST = 0.1
"""Score that a region must save to be worth veiling the whole image."""

_WIDTHS = (1 / 40, 1 / 16)
"""Widths by which the veil grows first, as shares of the image's shorter side."""


def satisfy_judges(veiled: VeiledFrame, assessment: Assessment, context: Context) -> VeiledFrame:
    """The frame with the judges' scores, veiled further where a judge still says unsafe.

    A judge disputes a veil if it flags the image before the veil and after it. Of several veils
    that are disputed, the smallest one with the fewest disputes is kept.

    Args:
        veiled: a frame whose file is verified.
        assessment: scores of the file; its classifiers know their judges.
        context: resolution and regions of the search.
    """
    judged = [each for each in assessment.flagged if each.judges]
    if not judged:
        return veiled
    with context.stopwatch("judges"):
        panel = _Panel(assessment.frame.pixels, judged)
        best = replace(veiled, judgements=panel.judge(veiled.release.pixels))
        if veiled.whole_image or not veiled.release.safe:
            return best
        disputes = _disputes(best.judgements)
        if not disputes:
            return best
        disputing = panel.disputing(best.judgements)
        for mask in _growing_masks(veiled, disputing, assessment.frame.pixels, context):
            if not disputes or mask.mean() > MAX_AREA:
                break
            released = release(assessment.frame.pixels, mask, veiled.fill, assessment.classifiers)
            if not released.safe:  # a shape can provoke another category
                continue
            judgements = panel.judge(released.pixels)
            if _disputes(judgements) < disputes:
                disputes = _disputes(judgements)
                best = replace(
                    veiled,
                    release=released,
                    mask=mask,
                    judgements=judgements,
                    judged_fraction=float((mask & ~veiled.mask).mean()),
                    irreducible=False,
                )
    return best


def judge_again(veiled: VeiledFrame, assessment: Assessment) -> VeiledFrame:
    """The frame with the judges' scores of its present file; nothing more is veiled."""
    panel = _Panel(assessment.frame.pixels, [each for each in assessment.flagged if each.judges])
    return replace(veiled, judgements=panel.judge(veiled.release.pixels))


class _Panel:
    """The judges of some categories, and what they said of the image without a veil."""

    def __init__(self, pixels: Image, judged: Sequence[CategoryClassifier]) -> None:
        self._judged = judged
        self._before = {
            each.category.key: [_score(judge, pixels) for judge in each.judges] for each in judged
        }

    def judge(self, pixels: Image) -> Mapping[str, tuple[Judgement, ...]]:
        """What each judge says of a veiled image, by category."""
        return {
            each.category.key: tuple(
                Judgement(
                    judge.info.name, before, _score(judge, pixels), each.category.judge_threshold
                )
                for judge, before in zip(each.judges, self._before[each.category.key], strict=True)
            )
            for each in self._judged
        }

    def disputing(self, judgements: Mapping[str, tuple[Judgement, ...]]) -> list[_Dispute]:
        """The judges that still say unsafe."""
        return [
            _Dispute(each.category, judge)
            for each in self._judged
            for judge, said in zip(each.judges, judgements[each.category.key], strict=True)
            if said.disputes
        ]


@dataclass(frozen=True)
class _Dispute:
    """A judge that says unsafe, and its category."""

    category: Category
    judge: Classifier


def _growing_masks(
    veiled: VeiledFrame, disputes: Sequence[_Dispute], pixels: Image, context: Context
) -> Iterator[Mask]:
    """Masks that hold the veil, each larger than the one before it."""
    # At the resolution of the search, so that a large image costs no more.
    image = shrink_image(pixels, context.config.search_size)
    mask = resize_mask(veiled.mask, *image.shape[:2])
    keys = dict.fromkeys(each.category.key for each in disputes)
    explanations = [veiled.explanations[key] for key in keys]
    # Boxes have no level sets: nothing argues outside of them.
    if context.config.search == "levelsets" and not any(each.localized for each in explanations):
        return _larger_level_sets(mask, veiled, disputes, explanations, image)
    return _wider_masks(mask, veiled, disputes, image, context)


def _larger_level_sets(
    mask: Mask,
    veiled: VeiledFrame,
    disputes: Sequence[_Dispute],
    explanations: Sequence[Explanation],
    image: Image,
) -> Iterator[Mask]:
    """The veils that the search would have tried next, where the judges agree at this size."""
    for larger in larger_level_sets(mask, explanations):
        seen = veiled.fill(image, larger[None])
        # Scored here first: a release at full resolution costs more.
        if all(each.judge.score(seen)[0] < each.category.judge_threshold for each in disputes):
            yield _enlarged(larger, veiled.mask)


def _wider_masks(
    mask: Mask,
    veiled: VeiledFrame,
    disputes: Sequence[_Dispute],
    image: Image,
    context: Context,
) -> Iterator[Mask]:
    """The veil grown all around, which closes gaps; then joined by regions.

    Each time it is the region that lowers the judges' scores most (Definition 2).
    """
    for width in _WIDTHS:
        grown = distance_transform_edt(~mask) <= width * min(mask.shape)
        yield _enlarged(grown, veiled.mask)
    labels = context.components.black_box_segmentation(image)
    regions = [labels == number for number in np.unique(labels)]
    regions = [region for region in regions if region.mean() <= MAX_AREA]
    for _ in range(_MAX_REGIONS):
        wider = [mask | region for region in regions if (region & ~mask).any()]
        if not wider:
            return
        masks = np.stack(wider)
        images = veiled.fill(image, masks)
        worst = np.max([each.judge.score(images) for each in disputes], axis=0)
        # Of regions that help as much, the smaller one.
        mask = masks[np.argmin(worst + _AREA_COST * masks.mean(axis=(1, 2)))]
        yield _enlarged(mask, veiled.mask)


def _enlarged(mask: Mask, veil: Mask) -> Mask:
    """The mask without holes at full resolution, and all of the veil."""
    enlarged: Mask = resize_mask(binary_fill_holes(mask), *veil.shape) | veil
    return enlarged


def _score(judge: Classifier, pixels: Image) -> float:
    return float(judge.score(pixels[None])[0])


def _disputes(judgements: Mapping[str, tuple[Judgement, ...]]) -> int:
    return sum(each.disputes for said in judgements.values() for each in said)
