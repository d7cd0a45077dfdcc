"""Steps 2 to 4 for one frame: explain, mask, release; then veil everything if that fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from counterveil.fills import Fill
from counterveil.fills import fill as fill_by_name
from counterveil.pipeline.assess import Assessment
from counterveil.pipeline.components import Context
from counterveil.pipeline.explain import Explanation, explain
from counterveil.pipeline.mask import core_mask, masks_to_try, resize_mask, shrink_image
from counterveil.pipeline.release import Release, release
from counterveil.record import Judgement
from counterveil.types import Image, Mask


@dataclass(frozen=True, eq=False)
class VeiledFrame:
    """The released frame, and how its mask came about.

    Attributes:
        release: the files.
        mask: ``(H, W)`` at full resolution, ``True`` = veiled.
        fill: what veiled pixels became.
        explanations: by category key; empty if nothing was flagged.
        irreducible: proven that no part of the core mask can be given back.
        completed_fraction: part of the image that is veiled only to complete objects.
        answered_fraction: part of the image that is veiled only for the reasoner's answers.
        judged_fraction: part of the image that is veiled only for the judges.
        judgements: of the classifiers that took no part in the search, by category key.
        whole_image: no counterfactual was found, so everything is veiled.
        warnings: sentences for the record.
    """

    release: Release
    mask: Mask
    fill: Fill
    explanations: Mapping[str, Explanation] = field(default_factory=dict)
    irreducible: bool = True
    completed_fraction: float = 0.0
    answered_fraction: float = 0.0
    judged_fraction: float = 0.0
    judgements: Mapping[str, tuple[Judgement, ...]] = field(default_factory=dict)
    whole_image: bool = False
    warnings: tuple[str, ...] = ()


def veil(assessment: Assessment, context: Context) -> VeiledFrame:
    """Veil and release the worst frame.

    The search works on a small copy of the image first, then at full resolution. If both fail,
    the whole image is veiled: an image without a counterfactual is never released as safe.
    """
    frame, fill = assessment.frame, context.components.fill
    if not assessment.flagged:
        nothing = np.zeros((frame.height, frame.width), bool)
        return VeiledFrame(_release(assessment, nothing, fill, context), nothing, fill)
    explanations: dict[str, Explanation] = {}
    # Small first: the search costs hundreds of scores, and most masks survive enlarging.
    for image in _resolutions(frame.pixels, context.config.search_size):
        explanations = explain(image, assessment.flagged, context, full=frame.pixels)
        found = _release_first_safe(image, assessment, explanations, context)
        if found is not None:
            return found
        outcomes = {each.result.outcome for each in explanations.values()}
        if context.config.search == "levelsets" and "not_found" in outcomes:
            break  # more pixels make its smooth veils no finer, and 12 megapixels take minutes
    return _veil_everything(assessment, explanations, context)


def widen(
    veiled: VeiledFrame, more: Mask, assessment: Assessment, context: Context
) -> VeiledFrame | None:
    """A frame with more veiled, for the reasoner's answers; ``None`` if that is not safe."""
    mask = veiled.mask | more  # never less: what was verified stays veiled
    released = _release(assessment, mask, veiled.fill, context)
    if not released.safe:
        return None
    added = float((mask & ~veiled.mask).mean())
    return replace(
        veiled,
        release=released,
        mask=mask,
        answered_fraction=veiled.answered_fraction + added,
    )


def _release(assessment: Assessment, mask: Mask, fill: Fill, context: Context) -> Release:
    with context.stopwatch("release"):
        return release(assessment.frame.pixels, mask, fill, assessment.classifiers)


def _resolutions(pixels: Image, search_size: int) -> Iterator[Image]:
    small = shrink_image(pixels, search_size)
    yield small
    if small is not pixels:
        yield pixels


def _release_first_safe(
    image: Image,
    assessment: Assessment,
    explanations: Mapping[str, Explanation],
    context: Context,
) -> VeiledFrame | None:
    """The first candidate mask whose file is safe; ``None`` if there is none."""
    frame, fill = assessment.frame, context.components.fill
    core = core_mask(image, assessment.flagged, explanations, context)
    if core is None:
        return None
    for candidate in masks_to_try(image, core, assessment.classifiers, explanations, context):
        mask = resize_mask(candidate, frame.height, frame.width)
        released = _release(assessment, mask, fill, context)
        if released.safe:
            return VeiledFrame(
                released,
                mask,
                fill,
                explanations,
                irreducible=core.irreducible,
                # At the resolution of the search, where core and candidate are comparable.
                completed_fraction=float((candidate & ~core.mask).mean()),
            )
    return None


def _veil_everything(
    assessment: Assessment, explanations: Mapping[str, Explanation], context: Context
) -> VeiledFrame:
    frame, fill = assessment.frame, context.components.fill
    everything = np.ones((frame.height, frame.width), bool)
    if fill.reversible_risk:
        fill = fill_by_name("black")  # a blur of the whole image hides nothing for certain
    return VeiledFrame(
        _release(assessment, everything, fill, context),
        everything,
        fill,
        explanations,
        irreducible=False,
        whole_image=True,
        warnings=("no counterfactual was found within the budget, so the whole image is veiled",),
    )
