"""One category's counterfactual on one image."""

from __future__ import annotations

from dataclasses import dataclass

from counterveil.attribution import Attribution
from counterveil.classifiers.wrapped import Wrapped
from counterveil.pipeline.components import CategoryClassifier, Components, Named, Settings
from counterveil.pipeline.timing import Stopwatch
from counterveil.search import MaskEvaluator, SearchProblem
from counterveil.segmentation import region_scores
from counterveil.types import (
    AttributionMap,
    Classifier,
    Image,
    Images,
    Labels,
    Masks,
    MaskScoreFunction,
    Scores,
    SearchResult,
)


@dataclass(frozen=True, eq=False)
class Explanation:
    """How one category's veil came about.

    Attributes:
        counterfactual: what the search found.
        attribution_map: the attribution map.
        labels: the regions.
        refinement_labels: the partition the veil was given back by; the regions where there is none.
        attribution: name of the method that made the map.
        evaluations: images scored, the attribution's included.
        warnings: what the reader should know.
    """

    counterfactual: SearchResult
    attribution_map: AttributionMap
    labels: Labels
    refinement_labels: Labels
    attribution: str
    evaluations: int
    warnings: tuple[str, ...] = ()


class Counted(Wrapped):
    """A classifier that counts the images it scored."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        self.images = 0

    def score(self, images: Images) -> Scores:
        """As the classifier scores."""
        self.images += len(images)
        return super().score(images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """Likewise counted."""
        veiled = super().score_masked(image, paint)
        if veiled is None:
            return None

        def counted(masks: Masks) -> Scores:
            self.images += len(masks)
            return veiled(masks)

        return counted


class Explainer:
    """Explains one image; what categories share (the partition) is made once."""

    def __init__(
        self, image: Image, methods: Components, settings: Settings, stopwatch: Stopwatch
    ) -> None:
        self._image = image
        self._methods = methods
        self._settings = settings
        self._stopwatch = stopwatch
        self._labels: Labels | None = None
        self._finer: Labels | None = None

    def explain(self, watch: CategoryClassifier) -> Explanation:
        """Find what to veil for one category."""
        counted = Counted(watch.classifier)
        chosen, warnings = self._choose(watch)
        attribution_map, labels = self._heat_and_labels(chosen, counted)
        refinement_labels = self._finer_labels()
        threshold = watch.category.threshold
        with self._stopwatch("search"):
            problem = SearchProblem(
                labels,
                region_scores(attribution_map, labels),
                threshold=threshold,
                target=min(threshold, self._settings.target),
                max_regions=self._settings.max_regions,
                max_score_increase=self._settings.slack,
                refinement_labels=refinement_labels,
                attribution_map=attribution_map,
            )
            fill = self._methods.fill
            evaluator = MaskEvaluator(
                self._image,
                counted.score,
                fill,
                max_evaluations=self._settings.max_evaluations,
                score_masked=counted.score_masked(self._image, fill.painted(self._image)),
            )
            counterfactual = self._methods.search.method(problem, evaluator)
        return Explanation(
            counterfactual,
            attribution_map,
            labels,
            labels if refinement_labels is None else refinement_labels,
            chosen.name,
            counted.images,
            warnings,
        )

    def _choose(self, watch: CategoryClassifier) -> tuple[Named[Attribution], tuple[str, ...]]:
        """A black box gets the attribution that asks for scores only, and the record says so."""
        chosen, said = self._methods.attribution, []
        if not (chosen.method.needs_regions or hasattr(watch.classifier, "module")):
            chosen = self._methods.black_box
            said.append(
                f"{watch.category.key}: the classifier only scores, so its regions were ranked by "
                f"{chosen.name} instead of {self._methods.attribution.name}"
            )
        if self._settings.guided and chosen.method.needs_regions:
            said.append(
                f"{watch.category.key}: {chosen.name} needs the regions first, so it did not guide "
                "them"
            )
        return chosen, tuple(said)

    def _heat_and_labels(
        self, chosen: Named[Attribution], counted: Counted
    ) -> tuple[AttributionMap, Labels]:
        if chosen.method.needs_regions:
            labels = self._partition(None)
            with self._stopwatch("attribution"):
                return (
                    chosen.method(counted, self._image, labels=labels, fill=self._methods.fill),
                    labels,
                )
        with self._stopwatch("attribution"):
            attribution_map = chosen.method(counted, self._image)
        return attribution_map, self._partition(attribution_map if self._settings.guided else None)

    def _partition(self, guidance: AttributionMap | None) -> Labels:
        if guidance is None and self._labels is not None:
            return self._labels
        with self._stopwatch("regions"):
            labels = self._methods.segmentation.method(self._image, guidance=guidance)
        if guidance is None:
            self._labels = labels
        return labels

    def _finer_labels(self) -> Labels | None:
        if self._methods.refinement_labels is None:
            return None
        if self._finer is None:
            with self._stopwatch("regions"):
                self._finer = self._methods.refinement_labels(self._image)
        return self._finer
