"""Accuracy of the pictogram classifiers on test scenes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.scenes import CATEGORY_KEYS, draw_scene
from counterveil.pipeline import CategoryClassifier

_BATCH_SIZE = 8


def measure_accuracy(
    classifier: CategoryClassifier, checkpoint: Checkpoint, *, count: int, seed: int
) -> dict[str, object]:
    """Accuracy on all test scenes of a category, and on each kind of scene.

    ``count`` scenes are drawn, half of them unsafe, and an eighth as many unsafe scenes of other
    categories.
    """
    groups = _scenes(classifier.category.key, count)

    def measure(items: range) -> Iterator[float]:
        for group, scenes in groups.items():
            yield from _is_correct(classifier, scenes, seed, unsafe=group == "unsafe")

    name, total = f"classifier {classifier.category.key}", scene_count(count)
    values = iter(checkpoint.measure(name, total, measure, chunk_size=total))
    correct = {group: list(islice(values, len(scenes))) for group, scenes in groups.items()}
    # The paper's proportions: half unsafe, a quarter safe, a quarter look-alikes.
    combined = correct["unsafe"] + correct["safe"] + correct["look-alike"]
    return {
        group: bootstrap_mean(each).to_dict()
        for group, each in {"accuracy": combined, **correct}.items()
    }


def _is_correct(
    classifier: CategoryClassifier,
    scenes: list[tuple[str, str, int]],
    seed: int,
    *,
    unsafe: bool,
) -> Iterator[float]:
    for start in range(0, len(scenes), _BATCH_SIZE):
        images = [
            draw_scene(seed, index, split="test", category=category, kind=kind).pixels
            for category, kind, index in scenes[start : start + _BATCH_SIZE]
        ]
        for score in classifier.classifier.score(np.stack(images)):
            yield float((score >= classifier.category.threshold) == unsafe)


def _scenes(key: str, count: int) -> dict[str, list[tuple[str, str, int]]]:
    """Category, kind and index of the scenes of each group."""
    others = [other for other in CATEGORY_KEYS if other != key]
    return {
        "unsafe": [(key, "unsafe", i) for i in range(count // 2)],
        "safe": [(key, "safe", i) for i in range(count // 4)],
        "look-alike": [(key, "lookalike", i) for i in range(count // 4)],
        "other categories": [(others[i % 2], "unsafe", i) for i in range(count // 8)],
    }


def scene_count(count: int) -> int:
    """Number of scenes that :func:`measure_accuracy` draws."""
    return sum(map(len, _scenes(CATEGORY_KEYS[0], count).values()))
