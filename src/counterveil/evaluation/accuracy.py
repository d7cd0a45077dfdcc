"""How often a classifier is right on scenes it has never seen."""

from __future__ import annotations

from collections.abc import Callable

from counterveil.evaluation.interval import estimate
from counterveil.scenes import CATEGORY_KEYS, draw_scene
from counterveil.types import Classifier

Step = Callable[[], None]


def accuracy(
    key: str, classifier: Classifier, *, count: int, seed: int, threshold: float, step: Step
) -> dict[str, object]:
    """Accuracy on test scenes of a category, on look-alikes alone, and on other categories'.

    Args:
        key: the category's.
        classifier: what is measured.
        count: scenes of each kind (half of the mixed ones are unsafe).
        seed: of the scenes.
        threshold: flagged from this score on.
        step: called after each scene.
    """
    others = [other for other in CATEGORY_KEYS if other != key]
    groups: dict[str, list[tuple[str, str, int]]] = {
        "unsafe": [(key, "unsafe", i) for i in range(count // 2)],
        "safe": [(key, "safe", i) for i in range(count // 4)],
        "look-alike": [(key, "lookalike", i) for i in range(count // 2)],
        "other categories": [(others[i % 2], "unsafe", i) for i in range(count // 4)],
    }
    right: dict[str, list[float]] = {}
    for name, wanted in groups.items():
        verdicts = []
        for category, kind, index in wanted:
            scene = draw_scene(seed, index, split="test", category=category, kind=kind)
            flagged = classifier.score(scene.pixels[None])[0] >= threshold
            verdicts.append(float(flagged == (name == "unsafe")))
            step()
        right[name] = verdicts
    # The paper's mix: as many safe as unsafe, and of the safe half are look-alikes.
    mixed = right["unsafe"] + right["safe"] + right["look-alike"][: count // 4]
    return {
        "accuracy": estimate(mixed).to_dict(),
        **{name: estimate(verdicts).to_dict() for name, verdicts in right.items()},
    }


def scenes_needed(count: int) -> int:
    """How many scenes :func:`accuracy` draws."""
    return 2 * (count // 2) + 2 * (count // 4)
