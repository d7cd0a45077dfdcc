"""LIME's image explainer beside the whole counterfactual: what one would pick instead.

Run as `python benchmarks/lime_vs_cse.py [--quick] [--samples 1000]`. Same scenes, same classifier.
LIME runs as its documentation has it: quickshift, 1,000 samples, the positive regions, as many of
the best as flip the decision when veiled (at most ten, as in the paper). Needs `pip install lime`,
which is no dependency of ours; without it, this says so and ends. Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

import numpy as np

from counterveil import profiles
from counterveil.fills import fill
from counterveil.lab.benchmarks.overlap import overlap
from counterveil.lab.benchmarks.subjects import Case, flagged
from counterveil.pipeline import CategoryClassifier
from counterveil.pipeline.explain import Counted, Explainer
from counterveil.pipeline.timing import Stopwatch
from measuring import emit, machine, ratios, seconds, spread

SEED = 2027
MOST = 10


@dataclass
class Found:
    """What one of them came to on one scene."""

    seconds: float = 0.0
    evaluations: int = 0
    flipped: bool = False
    mask: np.ndarray | None = None


def by_lime(case: Case, watch: CategoryClassifier, samples: int) -> Found:
    from lime.lime_image import LimeImageExplainer

    counted, found = Counted(watch.classifier), Found()

    def two_classes(images: np.ndarray) -> np.ndarray:
        unsafe = counted.score(images.astype(np.uint8))
        return np.stack([1 - unsafe, unsafe], axis=1)

    def call() -> None:
        explainer = LimeImageExplainer(random_state=0)
        told = explainer.explain_instance(
            case.image,
            two_classes,
            labels=(1,),
            hide_color=0,
            num_samples=samples,
        )
        ranked = [region for region, weight in told.local_exp[1] if weight > 0][:MOST]
        for count in range(1, len(ranked) + 1):
            found.mask = np.isin(told.segments, ranked[:count])
            veiled = fill("black")(case.image, found.mask[None])
            found.flipped = bool(counted.score(veiled)[0] < watch.category.threshold)
            if found.flipped:
                break

    found.seconds, found.evaluations = seconds(call), counted.images
    return found


def by_us(case: Case, watch: CategoryClassifier) -> Found:
    chosen, found = profiles.PROFILES["proxy"], Found()
    parts = profiles.methods(chosen)

    def call() -> None:
        told = Explainer(case.image, parts, chosen.settings, Stopwatch()).explain(watch)
        found.flipped = told.counterfactual.outcome == "found"
        found.mask, found.evaluations = told.counterfactual.mask, told.evaluations

    found.seconds = seconds(call)
    return found


def told(found: list[Found], cases: list[Case]) -> dict[str, object]:
    pairs = [
        (one.mask, case.truth)
        for one, case in zip(found, cases, strict=True)
        if one.flipped and one.mask is not None and case.truth is not None
    ]
    covers = [overlap(mask, truth) for mask, truth in pairs]
    return {
        "flipped": sum(one.flipped for one in found),
        "seconds": spread([one.seconds for one in found]),
        "evaluations": statistics.mean(one.evaluations for one in found),
        "veiled_share": round(float(np.mean([one.area for one in covers])), 4) if covers else None,
        "iou": round(float(np.mean([one.iou for one in covers])), 4) if covers else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one scene a category, 50 samples")
    parser.add_argument("--scenes", type=int, default=4, help="a category")
    parser.add_argument("--samples", type=int, default=1000)
    asked = parser.parse_args()
    try:
        import lime  # noqa: F401
    except ImportError:
        emit("lime_vs_cse", skipped="LIME is not installed; `pip install lime` to measure it")
        return
    scenes, samples = (1, 50) if asked.quick else (asked.scenes, asked.samples)
    for watch in profiles.from_profile("proxy").watches:
        cases = list(flagged(watch, count=scenes, seed=SEED))
        by_us(cases[0], watch)  # compiled and loaded
        ours, theirs = [], []
        for case in cases:
            ours.append(by_us(case, watch))
            theirs.append(by_lime(case, watch, samples))
        emit(
            "lime_vs_cse",
            category=watch.category.key,
            scenes=scenes,
            samples=samples,
            counterveil=told(ours, cases),
            lime=told(theirs, cases),
            times_faster=ratios([t.seconds for t in theirs], [o.seconds for o in ours]),
            **machine("torch", "lime"),
        )


if __name__ == "__main__":
    main()
