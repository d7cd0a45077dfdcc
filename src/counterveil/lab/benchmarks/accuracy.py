"""How often a classifier is right on scenes it has never seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from counterveil.lab.benchmarks.interval import estimate
from counterveil.lab.scenes import CATEGORY_KEYS, draw_scene
from counterveil.types import Classifier

Step = Callable[[], None]

_BATCH = 8


def accuracy(
    key: str, classifier: Classifier, *, count: int, seed: int, threshold: float, step: Step
) -> dict[str, object]:
    """Accuracy on test scenes of a category, on look-alikes alone, and on other categories'.

    Args:
        key: the category's.
        classifier: what is measured.
        count: scenes of the mix, half of them unsafe; of the other categories, an eighth as many.
        seed: of the scenes.
        threshold: flagged from this score on.
        step: called after each scene.
    """
    others = [other for other in CATEGORY_KEYS if other != key]
    groups: dict[str, list[tuple[str, str, int]]] = {
        "unsafe": [(key, "unsafe", i) for i in range(count // 2)],
        "safe": [(key, "safe", i) for i in range(count // 4)],
        "look-alike": [(key, "lookalike", i) for i in range(count // 4)],
        "other categories": [(others[i % 2], "unsafe", i) for i in range(count // 8)],
    }
    right: dict[str, list[float]] = {}
    for name, wanted in groups.items():
        right[name] = []
        for start in range(0, len(wanted), _BATCH):
            images = [
                draw_scene(seed, index, split="test", category=category, kind=kind).pixels
                for category, kind, index in wanted[start : start + _BATCH]
            ]
            for score in classifier.score(np.stack(images)):
                right[name].append(float((score >= threshold) == (name == "unsafe")))
                step()
    # The paper's mix: as many safe as unsafe, and of the safe half are look-alikes.
    mixed = right["unsafe"] + right["safe"] + right["look-alike"]
    return {
        "accuracy": estimate(mixed).to_dict(),
        **{name: estimate(verdicts).to_dict() for name, verdicts in right.items()},
    }


def scenes_needed(count: int) -> int:
    """How many scenes :func:`accuracy` draws."""
    return count // 2 + 2 * (count // 4) + count // 8
