"""Step 2: find, for each flagged category, the smallest mask that flips its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from counterveil.attribution import Attribution
from counterveil.config import Config
from counterveil.pipeline.components import (
    CategoryClassifier,
    Components,
    NamedMethod,
    mask_evaluator,
)
from counterveil.pipeline.timing import Stopwatch
from counterveil.search.problem import SearchProblem
from counterveil.segmentation import region_scores
from counterveil.types import (
    AttributionMap,
    Classifier,
    GradientClassifier,
    Image,
    Images,
    Labels,
    ModelInfo,
    Scores,
    SearchResult,
)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Counterfactual of one category on one image.

    Attributes:
        result: what the search found.
        attribution_map: ``(H, W)``.
        labels: the regions, ``(H, W)``.
        refinement_labels: cells by which the mask was reduced; the regions if there are none.
        attribution: name of the attribution method.
        evaluations: images scored by the search and by an attribution that scores.
        warnings: sentences for the record.
    """

    result: SearchResult
    attribution_map: AttributionMap
    labels: Labels
    refinement_labels: Labels
    attribution: str
    evaluations: int
    warnings: tuple[str, ...] = ()


def explain(
    image: Image,
    flagged: Sequence[CategoryClassifier],
    components: Components,
    config: Config,
    stopwatch: Stopwatch,
) -> dict[str, Explanation]:
    """Explain each flagged category.

    Args:
        image: ``(H, W, 3)``, at the resolution of the search.
        flagged: the categories to explain.
        components: attribution, segmentation, search, fill.
        config: target and limits of the search.
        stopwatch: measures the stages.

    Returns:
        By category key, in the order of ``flagged``.

    References:
        Bethany et al., AAAI 2024, "Counterfactual Subobject Explanations for Obfuscation":
        attribution, segmentation, region scores (Definition 1), search.
    """
    segmenter = _Segmenter(image, components, stopwatch)
    return {
        each.category.key: _explain_category(each, image, segmenter, components, config, stopwatch)
        for each in flagged
    }


def _explain_category(
    category_classifier: CategoryClassifier,
    image: Image,
    segmenter: _Segmenter,
    components: Components,
    config: Config,
    stopwatch: Stopwatch,
) -> Explanation:
    classifier = category_classifier.classifier
    threshold = category_classifier.category.threshold
    chosen, warnings = _choose_attribution(category_classifier, components, config)
    counter = CountingClassifier(classifier)
    attribution_map, labels = _attribute(
        chosen, classifier, counter, image, segmenter, components, config, stopwatch
    )
    refinement_labels = segmenter.refinement_labels()
    problem = SearchProblem(
        labels,
        region_scores(attribution_map, labels),
        threshold=threshold,
        target=min(threshold, config.target),
        max_regions=config.max_regions,
        max_score_increase=config.max_score_increase,
        refinement_labels=refinement_labels,
        attribution_map=attribution_map,
    )
    evaluator = mask_evaluator(
        classifier, image, components.fill, max_evaluations=config.max_evaluations
    )
    with stopwatch("search"):
        result = components.search.method(problem, evaluator)
    return Explanation(
        result,
        attribution_map,
        labels,
        labels if refinement_labels is None else refinement_labels,
        chosen.name,
        counter.images + evaluator.evaluations,
        warnings,
    )


def _choose_attribution(
    category_classifier: CategoryClassifier, components: Components, config: Config
) -> tuple[NamedMethod[Attribution], tuple[str, ...]]:
    """The attribution method, and warnings where it is not the configured one."""
    key = category_classifier.category.key
    chosen, warnings = components.attribution, []
    has_gradients = isinstance(category_classifier.classifier, GradientClassifier)
    if chosen.method.needs_gradients and not has_gradients:
        chosen = components.black_box_attribution
        warnings.append(
            f"{key}: the classifier gives no gradients, so {chosen.name} ranked the regions "
            f"instead of {components.attribution.name}"
        )
    if config.guided_segmentation and chosen.method.needs_regions:
        warnings.append(
            f"{key}: {chosen.name} needs the regions first, so it did not guide the segmentation"
        )
    return chosen, tuple(warnings)


def _attribute(
    chosen: NamedMethod[Attribution],
    classifier: Classifier,
    counter: CountingClassifier,
    image: Image,
    segmenter: _Segmenter,
    components: Components,
    config: Config,
    stopwatch: Stopwatch,
) -> tuple[AttributionMap, Labels]:
    """Attribution map and regions. Which comes first depends on the attribution method."""
    method = chosen.method
    scored = classifier if method.needs_gradients else counter
    if method.needs_regions:
        labels = segmenter.labels()
        with stopwatch("attribution"):
            return method(scored, image, labels=labels, fill=components.fill), labels
    with stopwatch("attribution"):
        attribution_map = method(scored, image)
    guidance = attribution_map if config.guided_segmentation else None
    return attribution_map, segmenter.labels(guidance)


class CountingClassifier:
    """Counts the images that an attribution scores; gradients are not counted."""

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


@dataclass
class _Segmenter:
    """Segments one image; categories share the unguided regions and the refinement cells."""

    image: Image
    components: Components
    stopwatch: Stopwatch
    _cache: dict[str, Labels] = field(default_factory=dict)

    def labels(self, guidance: AttributionMap | None = None) -> Labels:
        """Regions; with guidance they belong to one category and are not shared."""
        if guidance is None and "regions" in self._cache:
            return self._cache["regions"]
        with self.stopwatch("regions"):
            labels = self.components.segmentation.method(self.image, guidance=guidance)
        if guidance is None:
            self._cache["regions"] = labels
        return labels

    def refinement_labels(self) -> Labels | None:
        """Small cells; ``None`` if the search keeps whole regions."""
        if self.components.refinement is None:
            return None
        if "refinement" not in self._cache:
            with self.stopwatch("regions"):
                self._cache["refinement"] = self.components.refinement(self.image)
        return self._cache["refinement"]
