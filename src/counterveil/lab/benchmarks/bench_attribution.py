"""Benchmark ``attribution``: metrics of attribution maps on scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

import counterveil
from counterveil import attribution, segmentation
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.datasets import (
    FlaggedImage,
    SceneDataset,
    classifier_hashes,
    load_pictograms,
)
from counterveil.lab.benchmarks.metrics import (
    REMOVED_SHARES,
    STEPS,
    deletion_auc,
    energy_pointing_game,
    insertion_auc,
    pixel_order,
    pointing_game,
    road,
)
from counterveil.pipeline import CategoryClassifier
from counterveil.types import AttributionMap

SEED = 2026
"""Seed of the test scenes. No training uses the split ``test``."""
NAMES = tuple(attribution.ATTRIBUTIONS)
NOISE = "noise"
"""Row of the random map: the chance level of each metric."""
CHUNK_SIZE = 5
"""Scenes per part of the checkpoint."""

MapFunction = Callable[[CategoryClassifier, FlaggedImage], AttributionMap]


@dataclass(frozen=True)
class Size:
    """Scenes per category (for ROAD, fewer: an imputation takes a second), steps and shares."""

    scenes: int
    steps: int = STEPS
    road: int = 6
    shares: tuple[float, ...] = REMOVED_SHARES


FULL = Size(scenes=8, steps=14, road=4)
QUICK = Size(scenes=2, steps=8, road=1, shares=(0.2, 0.6))


def settings(size: Size) -> dict[str, Any]:
    """Everything that distinguishes this measurement from another one, as JSON data."""
    return {
        "version": counterveil.__version__,
        "seed": SEED,
        "size": asdict(size),
        "weights": classifier_hashes(),
    }


def step_count(size: Size) -> int:
    """Number of items that the checkpoint will count."""
    return 3 * size.scenes * (len(NAMES) + 1)


def run(size: Size, *, device: str, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
    """Measure; JSON data in which every estimate has its 95 % interval.

    ``checkpoint`` holds finished parts and stores new ones.
    """
    checkpoint = checkpoint or Checkpoint()
    classifiers = load_pictograms(device).classifiers
    scenes = SceneDataset(SEED)
    rows: dict[str, dict[str, Any]] = {}
    for name, make_map in _map_functions().items():
        metrics = {}
        for classifier in classifiers:
            key = classifier.category.key
            metrics[key] = checkpoint.measure(
                f"{name}, {key}",
                size.scenes,
                partial(_measure_scenes, make_map, classifier, scenes, size),
                chunk_size=CHUNK_SIZE,
            )
        metrics["all"] = [item for items in metrics.values() for item in items]
        rows[name] = {key: summarise(items) for key, items in metrics.items()}
    return {"attributions": rows, "measured": settings(size)}


def measure_map(
    attribution_map: AttributionMap,
    category_classifier: CategoryClassifier,
    item: FlaggedImage,
    *,
    size: Size,
    with_road: bool,
) -> dict[str, float | None]:
    """Metrics of one map; those of ROAD are ``None`` unless ``with_road``."""
    assert item.truth is not None, "maps are measured on scenes"
    score = category_classifier.classifier.score
    rng = np.random.default_rng((SEED, item.index))
    order = pixel_order(attribution_map, rng)
    metrics: dict[str, float | None] = {
        "pointing_game": pointing_game(attribution_map, item.truth),
        "energy": energy_pointing_game(attribution_map, item.truth),
        "deletion": deletion_auc(item.image, score, order, steps=size.steps),
        "insertion": insertion_auc(item.image, score, order, steps=size.steps),
    }
    if not with_road:
        return {**metrics, "morf": None, "lerf": None, "road": None}
    found = road(item.image, score, order, rng=rng, shares=size.shares)
    return {**metrics, "morf": found.morf, "lerf": found.lerf, "road": found.combined}


def summarise(measurements: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """Means with intervals, and the number of scenes."""
    columns = {
        name: bootstrap_mean(
            [value for each in measurements if (value := each[name]) is not None]
        ).to_dict()
        for name in measurements[0]
    }
    return {"images": len(measurements), **columns}


def _measure_scenes(
    make_map: MapFunction,
    classifier: CategoryClassifier,
    scenes: SceneDataset,
    size: Size,
    indices: range,
) -> Iterator[dict[str, float | None]]:
    for index in indices:
        item = scenes.flagged_images(classifier, size.scenes)[index]
        attribution_map = make_map(classifier, item)
        yield measure_map(attribution_map, classifier, item, size=size, with_road=index < size.road)


def _map_functions() -> dict[str, MapFunction]:
    return {**{name: _map_function(name) for name in NAMES}, NOISE: _noise_map}


def _map_function(name: str) -> MapFunction:
    method, segment = attribution.make(name), segmentation.make("bass")

    def make_map(classifier: CategoryClassifier, item: FlaggedImage) -> AttributionMap:
        labels = segment(item.image) if method.needs_regions else None
        return method(classifier.classifier, item.image, labels=labels)

    return make_map


def _noise_map(classifier: CategoryClassifier, item: FlaggedImage) -> AttributionMap:
    noise: AttributionMap = np.random.default_rng(item.index).random(
        item.image.shape[:2], np.float32
    )
    return noise
