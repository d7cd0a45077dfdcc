"""Step 3: one mask for all flagged categories, completed to whole objects, at two resolutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from counterveil.classifiers.installed import U2NETP_INSTALL
from counterveil.config import Config
from counterveil.masking.candidates import candidate_masks
from counterveil.masking.foreground import complete_to_objects
from counterveil.masking.objects import complete_objects
from counterveil.masking.union import ScoreConstraint, unite_masks
from counterveil.pipeline.components import (
    CategoryClassifier,
    Components,
    Context,
    mask_evaluator,
)
from counterveil.pipeline.explain import Explanation
from counterveil.search.level_sets import LevelSets
from counterveil.segmentation import region_scores
from counterveil.types import AttributionMap, Image, Labels, Mask, Masks, Scores


@dataclass(frozen=True, eq=False)
class CoreMask:
    """What must be veiled so that every flagged category flips.

    Attributes:
        mask: ``(H, W)``, ``True`` = veiled.
        irreducible: proven that no part of it can be given back.
    """

    mask: Mask
    irreducible: bool


def core_mask(
    image: Image,
    flagged: Sequence[CategoryClassifier],
    explanations: Mapping[str, Explanation],
    context: Context,
) -> CoreMask | None:
    """Unite the masks of the categories; ``None`` if one of them was not found."""
    results = [explanation.result for explanation in explanations.values()]
    if any(result.outcome != "found" for result in results):
        return None
    if len(results) == 1:  # already irreducible, by the same cells
        return CoreMask(results[0].mask, results[0].irreducible)
    if any(explanation.localized for explanation in explanations.values()):
        # A box is veiled whole; cells would cut scraps out of it.
        union: Mask = np.logical_or.reduce([result.mask for result in results])
        return CoreMask(union, irreducible=False)
    fill, limit = context.components.fill, context.config.max_evaluations
    constraints = [
        ScoreConstraint(
            mask_evaluator(each.classifier, image, fill, max_evaluations=limit),
            explanations[each.category.key].result.target,
        )
        for each in flagged
    ]
    cells = next(iter(explanations.values())).refinement_labels
    with context.stopwatch("search"):
        united = unite_masks([result.mask for result in results], constraints, cells)
    return CoreMask(united.mask, united.irreducible)


def masks_to_try(
    image: Image,
    core: CoreMask,
    classifiers: Sequence[CategoryClassifier],
    explanations: Mapping[str, Explanation],
    context: Context,
) -> Iterator[Mask]:
    """Masks that hold the core, the preferred one first and the core itself last.

    A veil that follows an object's outline shows its shape, and a shape can be unsafe by itself.
    So wider masks and masks with fewer whole objects follow the completed one.
    """
    if context.config.search == "levelsets":
        return chain([core.mask], larger_level_sets(core.mask, list(explanations.values())))
    if context.config.completion == "none" or context.components.refinement is None:
        return iter([core.mask])
    open_ended = [each for each in explanations.values() if not each.localized]
    completed = core.mask
    if open_ended:  # boxes bound their objects: a face's veil is a face, never a body
        localized = [each.result.mask for each in explanations.values() if each.localized]
        with context.stopwatch("objects"):
            completed = core.mask | _completed(
                image,
                core.mask & ~np.logical_or.reduce(localized) if localized else core.mask,
                open_ended[0].refinement_labels,
                _highest([each.attribution_map for each in open_ended]),
                context,
            )

    # All categories count here: a shape can provoke one that flagged nothing before.
    def margin(masks: Masks) -> Scores:
        """Worst score above its threshold, under each mask."""
        veiled = context.components.fill(image, masks)
        worst: Scores = np.max(
            [each.classifier.score(veiled) - each.category.threshold for each in classifiers],
            axis=0,
        )
        return worst

    return candidate_masks(core.mask, completed, margin=margin)


def larger_level_sets(mask: Mask, explanations: Sequence[Explanation]) -> Iterator[Mask]:
    """The mask joined by the next larger veils that the search would have tried.

    Args:
        mask: ``(H, W)``.
        explanations: whose attribution the veils follow; boxes have no larger veils, since nothing
            argues outside of them.
    """
    level_sets = [
        LevelSets(each.labels, region_scores(each.attribution_map, each.labels))
        for each in explanations
        if not each.localized
    ]
    for index in range(min((len(each.shares) for each in level_sets), default=0)):
        larger = np.logical_or.reduce([mask, *(each.mask(index) for each in level_sets)])
        if larger.sum() > mask.sum():
            yield larger


def completion_warnings(components: Components, config: Config) -> tuple[str, ...]:
    """Sentences for the record of a veil that a missing segmenter would have made better."""
    wanted = config.completion == "foreground" and config.segmenter
    if not wanted or components.segmenter is not None or components.refinement is None:
        return ()
    return (
        f"{config.segmenter} is not installed, so the veil was completed by colour and "
        f"attribution, within the same bounds; {U2NETP_INSTALL}",
    )


def _completed(
    image: Image, part: Mask, cells: Labels, attribution_map: AttributionMap, context: Context
) -> Mask:
    """Part of a core, completed as configured."""
    segmenter = context.components.segmenter
    if segmenter is not None:
        return complete_to_objects(part, segmenter(image, core_mask=part), attribution_map)
    by_colour = complete_objects(image, part, cells, attribution_map=attribution_map)
    if context.config.completion == "colour":
        return by_colour
    # On photographs, colour runs over ground and over whole bodies: what it finds is bounded as
    # a segmenter's foreground is.
    return complete_to_objects(part, by_colour.astype(np.float32), attribution_map)


def _highest(maps: Sequence[AttributionMap]) -> AttributionMap:
    """Maximum over categories; each map is first divided by its own maximum."""
    if len(maps) == 1:
        return maps[0]
    # Maps of different classifiers have no common unit.
    highest: AttributionMap = np.max(
        [each / max(float(each.max()), 1e-12) for each in maps], axis=0
    )
    return highest


def shrink_image(image: Image, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its longest side at most ``size`` pixels; unchanged if it is already."""
    height, width = image.shape[:2]
    if max(height, width) <= size:
        return image
    factor = size / max(height, width)
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Pillow.fromarray(image).resize(shape, Pillow.Resampling.BOX))


def resize_mask(mask: Mask, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask at another resolution, with outlines as smooth as that allows (bilinear)."""
    if mask.shape == (height, width):
        return mask
    grey = Pillow.fromarray(mask.astype(np.uint8) * np.uint8(255))
    resized = np.asarray(grey.resize((width, height), Pillow.Resampling.BILINEAR))
    large: np.ndarray = resized > 127
    return large
