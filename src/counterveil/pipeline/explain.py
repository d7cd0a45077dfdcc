"""Step 2: find, for each flagged category, the smallest mask that flips its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import UInt8

from counterveil.attribution import Attribution
from counterveil.pipeline.boxes import BoxVeil, box_regions, box_result, scaled, veil_boxes
from counterveil.pipeline.components import (
    CategoryClassifier,
    Context,
    NamedMethod,
    mask_evaluator,
)
from counterveil.search.problem import SearchProblem
from counterveil.segmentation import region_scores
from counterveil.types import (
    AttributionMap,
    Box,
    Classifier,
    GradientClassifier,
    Image,
    Images,
    Labels,
    LocalizingClassifier,
    Masks,
    MaskScoreFunction,
    MaskScoringClassifier,
    ModelInfo,
    Scores,
    SearchResult,
)

FullImage = UInt8[np.ndarray, "full_height full_width 3"]
"""The image at another resolution than the search's."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Counterfactual of one category on one image.

    Attributes:
        result: what the search found.
        attribution_map: ``(H, W)``.
        labels: the regions, ``(H, W)``.
        refinement_labels: cells by which the mask was reduced; the regions if there are none.
        attribution: name of the attribution method; empty where the classifier's own boxes are
            the regions.
        segmentation: name of the segmentation; ``boxes`` likewise.
        localized: the regions are the classifier's own boxes, which also bound the veil.
        evaluations: images scored by the search and by an attribution that scores.
        warnings: sentences for the record.
    """

    result: SearchResult
    attribution_map: AttributionMap
    labels: Labels
    refinement_labels: Labels
    attribution: str
    segmentation: str
    evaluations: int
    localized: bool = False
    warnings: tuple[str, ...] = ()


def explain(
    image: Image,
    flagged: Sequence[CategoryClassifier],
    context: Context,
    *,
    full: FullImage | None = None,
) -> dict[str, Explanation]:
    """Explain each flagged category.

    Args:
        image: ``(H, W, 3)``, at the resolution of the search.
        flagged: the categories to explain.
        context: methods, and the margin and limits of the search.
        full: the image at full resolution, where boxes are looked for: a small copy lacks small
            faces and words. Default: ``image``.

    Returns:
        By category key, in the order of ``flagged``.

    References:
        Bethany et al., AAAI 2024, "Counterfactual Subobject Explanations for Obfuscation":
        attribution, segmentation, region scores (Definition 1), search.
    """
    explainer = _Explainer(image, image if full is None else full, context)
    return {each.category.key: explainer.explain(each) for each in flagged}


class _Explainer:
    """Explains one image; categories share the unguided regions and the refinement cells."""

    def __init__(self, image: Image, full: FullImage, context: Context) -> None:
        self._image, self._full, self._context = image, full, context
        self._components, self._config = context.components, context.config

    def explain(self, each: CategoryClassifier) -> Explanation:
        """The counterfactual of one category: by its classifier's boxes, where they suffice."""
        by_boxes = self._explain_by_boxes(each)
        return self._explain_by_attribution(each) if by_boxes is None else by_boxes

    def _explain_by_boxes(self, each: CategoryClassifier) -> Explanation | None:
        """``None`` if the classifier has no boxes, or if veiling them does not flip it."""
        if not isinstance(each.classifier, LocalizingClassifier):
            return None
        size, full_size = self._image.shape[:2], self._full.shape[:2]
        with self._context.stopwatch("regions"):
            boxes = each.classifier.boxes(self._full)
            regions = box_regions(size, scaled(boxes, full_size, size))
        if regions is None:
            return None
        with self._context.stopwatch("search"):
            veil = veil_boxes(
                each.classifier,
                self._full,
                boxes,
                self._components.fill,
                threshold=each.category.threshold,
                target=each.category.target(self._config.margin),
                max_evaluations=self._config.max_evaluations,
            )
        if veil is None:
            return None
        score_before = float(each.classifier.score(self._full[None])[0])
        return self._box_explanation(each, boxes, veil, score_before)

    def _box_explanation(
        self, each: CategoryClassifier, boxes: Sequence[Box], veil: BoxVeil, score_before: float
    ) -> Explanation:
        """The counterfactual whose regions are boxes, at the resolution of the search."""
        size, full_size = self._image.shape[:2], self._full.shape[:2]
        veiled = scaled(veil.boxes, full_size, size)
        every = tuple(dict.fromkeys((*veiled, *scaled(boxes, full_size, size))))
        regions = box_regions(size, every)
        assert regions is not None  # there is a veil, so there are boxes
        result = box_result(regions, veiled, veil, score_before)
        return Explanation(
            result,
            regions.attribution_map,
            regions.labels,
            regions.labels,
            attribution="",
            segmentation="boxes",
            evaluations=result.evaluations,
            localized=True,
            warnings=tuple(f"{each.category.key}: {text}" for text in veil.warnings),
        )

    def _explain_by_attribution(self, each: CategoryClassifier) -> Explanation:
        components, config = self._components, self._config
        chosen, warnings = self._choose_attribution(each)
        counter = CountingClassifier(each.classifier)
        attribution_map, labels = self._attribute(chosen, each.classifier, counter)
        problem = SearchProblem(
            labels,
            region_scores(attribution_map, labels),
            threshold=each.category.threshold,
            target=each.category.target(config.margin),
            max_regions=config.max_regions,
            max_score_increase=config.max_score_increase,
            refinement_labels=self._refinement_labels,
            attribution_map=attribution_map,
        )
        evaluator = mask_evaluator(
            each.classifier, self._image, components.fill, max_evaluations=config.max_evaluations
        )
        with self._context.stopwatch("search"):
            result = components.search.method(problem, evaluator)
        return Explanation(
            result,
            attribution_map,
            labels,
            # Later steps cut along these cells, whether or not the search did.
            labels if self._refinement_labels is None else self._refinement_labels,
            chosen.name,
            components.segmentation.name,
            counter.images + evaluator.evaluations,
            warnings=warnings,
        )

    def _choose_attribution(
        self, each: CategoryClassifier
    ) -> tuple[NamedMethod[Attribution], tuple[str, ...]]:
        """The attribution method, and warnings if it is not the configured one."""
        key, chosen, warnings = each.category.key, self._components.attribution, []
        if chosen.method.needs_gradients and not isinstance(each.classifier, GradientClassifier):
            chosen = self._components.black_box_attribution
            warnings.append(
                f"{key}: the classifier gives no gradients, so {chosen.name} ranked the regions "
                f"instead of {self._components.attribution.name}"
            )
        if self._config.guided_segmentation and chosen.method.needs_regions:
            warnings.append(
                f"{key}: {chosen.name} needs the regions first, so it did not guide the "
                "segmentation"
            )
        return chosen, tuple(warnings)

    def _attribute(
        self, chosen: NamedMethod[Attribution], classifier: Classifier, counter: CountingClassifier
    ) -> tuple[AttributionMap, Labels]:
        """Attribution map and regions. Which comes first depends on the attribution method."""
        method, stopwatch = chosen.method, self._context.stopwatch
        # Only scored images are counted; the gradient methods need the classifier itself.
        source = classifier if method.needs_gradients else counter
        if method.needs_regions:
            labels = self._black_box_labels
            with stopwatch("attribution"):
                return method(
                    source, self._image, labels=labels, fill=self._components.fill
                ), labels
        with stopwatch("attribution"):
            attribution_map = method(source, self._image)
        if not self._config.guided_segmentation:
            return attribution_map, self._unguided_labels
        return attribution_map, self._segment(attribution_map)

    def _segment(self, guidance: AttributionMap | None) -> Labels:
        with self._context.stopwatch("regions"):
            return self._components.segmentation.method(self._image, guidance=guidance)

    @cached_property
    def _black_box_labels(self) -> Labels:
        with self._context.stopwatch("regions"):
            return self._components.black_box_segmentation(self._image)

    @cached_property
    def _unguided_labels(self) -> Labels:
        return self._segment(None)

    @cached_property
    def _refinement_labels(self) -> Labels | None:
        """Small cells; ``None`` if the search keeps whole regions."""
        if self._components.refinement is None:
            return None
        with self._context.stopwatch("regions"):
            return self._components.refinement(self._image)


class CountingClassifier:
    """Counts the images that an attribution scores."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.images = 0

    @property
    def info(self) -> ModelInfo:
        """As the classifier's."""
        return self._classifier.info

    def score(self, images: Images) -> Scores:
        """As the classifier scores."""
        self.images += len(images)
        return self._classifier.score(images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """As the classifier scores masks; ``None`` where it does not."""
        if not isinstance(self._classifier, MaskScoringClassifier):
            return None
        score = self._classifier.score_masked(image, paint)
        return None if score is None else partial(self._count, score)

    def _count(self, score: MaskScoreFunction, masks: Masks) -> Scores:
        self.images += len(masks)
        return score(masks)
