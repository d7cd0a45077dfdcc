"""Parts of a pipeline. They are handed in; the pipeline looks no name up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from counterveil.attribution import Attribution
from counterveil.categories import Category
from counterveil.config import Config
from counterveil.fills import Fill
from counterveil.search import Search
from counterveil.search.evaluator import MaskEvaluator
from counterveil.segmentation import ObjectSegmenter, Segmentation
from counterveil.types import Classifier, Image, MaskScoringClassifier

T = TypeVar("T")


@dataclass(frozen=True)
class CategoryClassifier:
    """A category and the classifier that scores it.

    Attributes:
        category: what is looked for.
        classifier: scores it and is searched.
        judges: score the same category, and take no part in the search.
    """

    category: Category
    classifier: Classifier
    judges: tuple[Classifier, ...] = ()


@dataclass(frozen=True)
class NamedMethod(Generic[T]):
    """A method and its name in records."""

    name: str
    method: T


@dataclass(frozen=True)
class Components:
    """Methods of the counterfactual search.

    Attributes:
        attribution: attribution map; used for every classifier that it supports.
        black_box_attribution: attribution map for classifiers that give no gradients.
        segmentation: regions that are ranked and veiled.
        black_box_segmentation: the same for an attribution that scores the image without each
            region, so their number must be small.
        refinement: segmentation into small cells, by which a veil is reduced; ``None`` keeps
            whole regions.
        search: the counterfactual search.
        fill: what veiled pixels become, in the search and in the released file.
        segmenter: tells objects from the background, for the completion ``foreground``; ``None``:
            by colour and attribution.
    """

    attribution: NamedMethod[Attribution]
    black_box_attribution: NamedMethod[Attribution]
    segmentation: NamedMethod[Segmentation]
    black_box_segmentation: Segmentation
    refinement: Segmentation | None
    search: NamedMethod[Search]
    fill: Fill
    segmenter: ObjectSegmenter | None = None


@dataclass(frozen=True)
class Context:
    """What every step of one examination needs.

    Attributes:
        components: the methods.
        config: margin and limits.
        stopwatch: measures the steps; no result depends on it.
    """

    components: Components
    config: Config
    stopwatch: Stopwatch


def mask_evaluator(
    classifier: Classifier, image: Image, fill: Fill, *, max_evaluations: int
) -> MaskEvaluator:
    """Scores one image under masks, on the classifier's device where it can."""
    score_masked = None
    if isinstance(classifier, MaskScoringClassifier):
        score_masked = classifier.score_masked(image, fill.painted(image))
    return MaskEvaluator(
        image, classifier.score, fill, max_evaluations=max_evaluations, score_masked=score_masked
    )


class Stopwatch:
    """Adds up the milliseconds of each stage: ``with stopwatch("search"): ...``."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block and add it to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1000
            self._spent[stage] = self._spent.get(stage, 0.0) + spent

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds of each stage, and in total since the stopwatch was made."""
        total = (time.perf_counter() - self._start) * 1000
        return {stage: round(spent, 2) for stage, spent in [*self._spent.items(), ("total", total)]}
