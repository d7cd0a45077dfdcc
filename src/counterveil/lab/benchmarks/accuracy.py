"""Accuracy of the pictogram classifiers on test scenes."""

from __future__ import annotations

import numpy as np

from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.checkpoint import Step
from counterveil.lab.scenes import CATEGORY_KEYS, draw_scene
from counterveil.pipeline import CategoryClassifier

_BATCH_SIZE = 8


def measure_accuracy(
    category_classifier: CategoryClassifier, *, count: int, seed: int, step: Step
) -> dict[str, object]:
    """Accuracy on all test scenes of a category, and on each kind of scene.

    Args:
        category_classifier: the classifier to measure.
        count: number of scenes, half of them unsafe; an eighth as many unsafe scenes of other
            categories are measured besides.
        seed: seed of the scenes.
        step: called after each scene.
    """
    key = category_classifier.category.key
    threshold = category_classifier.category.threshold
    correct: dict[str, list[float]] = {}
    for group, scenes in _scenes(key, count).items():
        correct[group] = []
        for start in range(0, len(scenes), _BATCH_SIZE):
            images = [
                draw_scene(seed, index, split="test", category=category, kind=kind).pixels
                for category, kind, index in scenes[start : start + _BATCH_SIZE]
            ]
            for score in category_classifier.classifier.score(np.stack(images)):
                correct[group].append(float((score >= threshold) == (group == "unsafe")))
                step()
    # The paper's proportions: half unsafe, a quarter safe, a quarter look-alikes.
    combined = correct["unsafe"] + correct["safe"] + correct["look-alike"]
    return {
        "accuracy": bootstrap_mean(combined).to_dict(),
        **{group: bootstrap_mean(values).to_dict() for group, values in correct.items()},
    }


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
    return count // 2 + 2 * (count // 4) + count // 8
