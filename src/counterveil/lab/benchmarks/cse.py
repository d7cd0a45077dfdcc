"""Measures counterfactuals image by image, and summarises them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from counterveil import search
from counterveil.config import make_config
from counterveil.fills import Fill
from counterveil.images import decode_clean, encode_png, load
from counterveil.lab.benchmarks.anytime_curve import AnytimeSearch, Curve, count_images
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean, bootstrap_ratio
from counterveil.lab.benchmarks.datasets import FlaggedImage
from counterveil.lab.benchmarks.methods import Method
from counterveil.lab.benchmarks.metrics import mask_overlap
from counterveil.lab.benchmarks.veil_metrics import Veil, VeilMetrics
from counterveil.pipeline import CategoryClassifier, NamedMethod, Pipeline
from counterveil.pipeline.assess import Assessment
from counterveil.pipeline.components import Context, Stopwatch
from counterveil.pipeline.explain import Explanation, explain
from counterveil.pipeline.veil import veil
from counterveil.search import MaskEvaluator, SearchProblem
from counterveil.search.rivals.subset_searches import MAX_REGIONS
from counterveil.types import Classifier, Image, Labels, Mask, SearchOutcome, SearchResult

Measurement = dict[str, Any]
"""Metrics of one image by name; ``None`` where undefined. ``NO_METRICS`` are in it, too."""

NO_METRICS = ("anytime_curve", "veil")
"""What a measurement holds beside its metrics: the anytime curve, and figures of the veil."""

Measure = Callable[[FlaggedImage], Measurement]

_OVERLAP_METRICS = ("coverage", "precision", "iou", "area_ratio")
_METRICS_OF_ALL_IMAGES = ("found", "verified", "evaluations", "milliseconds", "regions")
"""Averaged over all images; the other metrics only over images with a counterfactual."""


class Optimum:
    """Smallest flipping areas by exhaustive search; each is computed once.

    An area is unknown if ``max_evaluations`` do not suffice.
    """

    def __init__(self, *, max_evaluations: int, max_regions: int = 10) -> None:
        self._max_evaluations, self._max_regions = max_evaluations, max_regions
        self._cache: dict[str, float | None] = {}

    def area(
        self, classifier: Classifier, image: Image, labels: Labels, fill: Fill, target: float
    ) -> float | None:
        """Smallest veiled share of the image with a score below ``target``; ``None`` if unknown."""
        if int(labels.max()) >= MAX_REGIONS:
            return None
        model = (classifier.info.name, classifier.info.sha256, fill.name, target)
        digest = hashlib.sha256(repr(model).encode() + image.tobytes() + labels.tobytes())
        key = digest.hexdigest()
        if key not in self._cache:
            self._cache[key] = self._search(classifier, image, labels, fill, target)
        return self._cache[key]

    def _search(
        self, classifier: Classifier, image: Image, labels: Labels, fill: Fill, target: float
    ) -> float | None:
        problem = SearchProblem(
            labels,
            np.zeros(int(labels.max()) + 1),
            threshold=target,
            target=target,
            max_regions=self._max_regions,
        )
        evaluator = MaskEvaluator(
            image, classifier.score, fill, max_evaluations=self._max_evaluations
        )
        found = search.make("exhaustive")(problem, evaluator)
        return found.area_fraction if found.outcome == "found" else None


def describe_search(explanation: Explanation) -> Measurement:
    """Figures that the result of a search has by itself."""
    result = explanation.result
    return {
        "found": float(result.outcome == "found"),
        "depth": float(result.depth),
        "obfuscation": result.area_fraction,
        "regions": float(result.regions_total),
        "irreducible": float(result.irreducible),
        "evaluations": float(explanation.evaluations),
    }


class MethodMeasure:
    """Measures one method on images.

    Args:
        method: the method.
        classifier: the category and its classifier.
        optimum: compares the veiled area with the smallest; ``None``: not compared.
        veil_metrics: measures the veils themselves; ``None``: they are not measured.
    """

    def __init__(
        self,
        method: Method,
        classifier: CategoryClassifier,
        optimum: Optimum | None = None,
        *,
        veil_metrics: VeilMetrics | None = None,
    ) -> None:
        self._method, self._classifier, self._optimum = method, classifier, optimum
        self._veil_metrics = veil_metrics
        self._components = method.components(classifier.classifier)
        self._warm = False

    def __call__(self, item: FlaggedImage) -> Measurement:
        """Metrics, anytime curve and, where asked for, the veil's figures of one image."""
        if not self._warm:  # compilation and loading are not part of any image's time
            self._warm_up(item)
        start = time.perf_counter()
        observe = self._release if self._method.complete_objects else self._explain
        explanation, curve = observe(item)
        elapsed = (time.perf_counter() - start) * 1000
        result = explanation.result
        return {
            **describe_search(explanation),
            **({} if item.truth is None else _overlap_metrics(result.mask, item.truth)),
            "optimality_gap": self._optimality_gap(explanation, item),
            "milliseconds": elapsed,
            "anytime_curve": curve,
            **({} if self._veil_metrics is None else {"veil": self._veil(result, item)}),
        }

    def _veil(self, result: SearchResult, item: FlaggedImage) -> Veil | None:
        if self._veil_metrics is None or result.outcome != "found" or result.mask.all():
            return None
        return self._veil_metrics(item.image, result.mask, self._method.fill, index=item.index)

    def _warm_up(self, item: FlaggedImage) -> None:
        greedy = NamedMethod("greedy", search.make("greedy"))
        config = make_config(self._method.config, max_regions=1, max_evaluations=2)
        components = replace(self._components, search=greedy)
        explain(item.image, [self._classifier], Context(components, config, Stopwatch()))
        self._warm = True

    def _explain(self, item: FlaggedImage) -> tuple[Explanation, Curve]:
        """The explanation and the anytime curve of its search."""
        observed = AnytimeSearch(self._components.search.method)
        components = replace(
            self._components, search=NamedMethod(self._components.search.name, observed)
        )
        explanations = explain(
            item.image,
            [self._classifier],
            Context(components, self._method.config, Stopwatch()),
        )
        explanation = explanations[self._classifier.category.key]
        # Images scored by the attribution come before those of the search.
        before = explanation.evaluations - observed.evaluations
        return explanation, [(before + scored, area) for scored, area in observed.curve]

    def _release(self, item: FlaggedImage) -> tuple[Explanation, Curve]:
        """The explanation with the released mask; not found if the whole image is veiled."""
        counter = count_images(self._classifier.classifier)
        counted = replace(self._classifier, classifier=counter)
        # Known to be flagged; scoring it again would count one image more.
        assessment = Assessment(load(encode_png(item.image))[:1], (counted,), np.array([[1.0]]))
        veiled = veil(assessment, Context(self._components, self._method.config, Stopwatch()))
        explanation = veiled.explanations[self._classifier.category.key]
        outcome: SearchOutcome = "not_found" if veiled.whole_image else explanation.result.outcome
        result = replace(explanation.result, mask=veiled.mask, outcome=outcome)
        # Masks on the way are not released, so the curve has one point only.
        curve = [(counter.images, result.area_fraction)]
        return replace(explanation, result=result, evaluations=counter.images), curve

    def _optimality_gap(self, explanation: Explanation, item: FlaggedImage) -> float | None:
        """Veiled area above the smallest one, relative to it; ``None`` if unknown."""
        target = self._classifier.category.target(self._method.margin)
        result = explanation.result
        if self._optimum is None or self._method.complete_objects:
            return None
        if result.outcome != "found" or result.score_after >= target:
            return None
        smallest = self._optimum.area(
            self._classifier.classifier, item.image, explanation.labels, self._method.fill, target
        )
        return None if smallest is None else result.area_fraction / smallest - 1


def measure_release(pipeline: Pipeline, category_classifier: CategoryClassifier) -> Measure:
    """A function that measures the file that a pipeline releases for a scene."""
    key = category_classifier.category.key

    def measure(item: FlaggedImage) -> Measurement:
        examination = pipeline.examine(encode_png(item.image), name=f"{item.index}.png")
        assert examination.veiled is not None and examination.mask is not None, examination.record
        assert item.truth is not None, "released files are measured on scenes"
        category = next(c for c in examination.record.categories if c.key == key)
        released = decode_clean(examination.veiled)
        score = float(category_classifier.classifier.score(released[None])[0])
        result, mask = category.counterfactual, decode_mask(examination.mask)
        return {
            "found": float(result.outcome == "found"),
            "verified": float(score < category.threshold and result.verified),
            "obfuscation": float(mask.mean()),
            **_overlap_metrics(mask, item.truth),
            "irreducible": float(result.irreducible),
            "evaluations": float(result.evaluations),
        }

    return measure


def _overlap_metrics(mask: Mask, truth: Mask) -> Measurement:
    overlap = mask_overlap(mask, truth)
    return {name: getattr(overlap, name) for name in _OVERLAP_METRICS}


def decode_mask(data: bytes) -> Mask:
    """The mask ``(H, W)`` of a mask file."""
    mask: Mask = load(data)[0].pixels[..., 0] > 127
    return mask


def summarise(
    measurements: Sequence[Measurement], *, include_not_found: bool = False
) -> dict[str, Any]:
    """Means with intervals, and the number of images.

    All measurements have the same names. ``include_not_found``: average all metrics over all
    images.
    """
    row: dict[str, Any] = {"images": len(measurements)}
    for name in measurements[0] if measurements else ():
        if name in NO_METRICS:
            continue
        of_all = include_not_found or name in _METRICS_OF_ALL_IMAGES
        chosen = [each for each in measurements if of_all or each["found"]]
        values = [value for each in chosen if (value := each[name]) is not None]
        row[name] = bootstrap_mean(values).to_dict()
        if name == "area_ratio":
            row["mean_area_ratio"] = _mean_area_ratio(chosen)
    return row


def _mean_area_ratio(measurements: Sequence[Measurement]) -> dict[str, float | None]:
    """Mean veiled area over mean true area: unlike the mean ratio, small objects weigh less."""
    known = [(each["obfuscation"], each["area_ratio"]) for each in measurements]
    areas = [(veiled, veiled / ratio) for veiled, ratio in known if veiled and ratio]
    return bootstrap_ratio([veiled for veiled, _ in areas], [true for _, true in areas]).to_dict()


def compare(ours: Sequence[Measurement], baseline: Sequence[Measurement]) -> dict[str, Any]:
    """Compare two methods on the same images, pair by pair.

    Returns:
        ``found_difference``, ``coverage_difference``: ours minus the baseline's;
        ``relative_area``, ``relative_evaluations``: ratio of means, ours over the baseline's;
        ``evaluations_to_match``: images scored until ours had a flip that veils no more than the
        baseline's result (all of ours if it never had one), over the baseline's. Area, coverage
        and ``evaluations_to_match`` use the images for which both found a counterfactual.
    """
    pairs = list(zip(ours, baseline, strict=True))
    both = [(a, b) for a, b in pairs if a["found"] and b["found"]]
    row: dict[str, Any] = {"images": len(pairs), "found_difference": _difference(pairs, "found")}
    row["relative_area"] = _ratio(both, "obfuscation")
    if any("coverage" in a for a, _ in pairs):
        row["coverage_difference"] = _difference(both, "coverage")
    row["relative_evaluations"] = _ratio(pairs, "evaluations")
    if all("anytime_curve" in a for a, _ in both):
        needed = [_evaluations_to_match(a, b["obfuscation"]) for a, b in both]
        estimate = bootstrap_ratio(needed, [b["evaluations"] for _, b in both])
        row["evaluations_to_match"] = estimate.to_dict()
    return row


def _evaluations_to_match(ours: Measurement, area: float) -> float:
    """Images scored until a flip veiled at most ``area``; all of them if none did."""
    limit = area * (1 + 1e-9)  # the same mask's area may differ by rounding
    matching = (float(scored) for scored, veiled in ours["anytime_curve"] if veiled <= limit)
    return next(matching, float(ours["evaluations"]))


Pairs = Sequence[tuple[Measurement, Measurement]]


def _difference(pairs: Pairs, name: str) -> dict[str, float | None]:
    return bootstrap_mean([ours - theirs for ours, theirs in _known(pairs, name)]).to_dict()


def _ratio(pairs: Pairs, name: str) -> dict[str, float | None]:
    known = _known(pairs, name)
    return bootstrap_ratio([ours for ours, _ in known], [theirs for _, theirs in known]).to_dict()


def _known(pairs: Pairs, name: str) -> list[tuple[float, float]]:
    return [(x, y) for a, b in pairs if (x := a[name]) is not None and (y := b[name]) is not None]
