"""LIME's image explainer compared with the whole counterfactual.

Run: python benchmarks/lime_vs_cse.py [--quick] [--samples 1000]
Same scenes, same classifier. LIME runs as in its documentation: quickshift, 1,000 samples, regions
with positive weight; as many of the best as flip the decision when veiled, at most ten as in the
paper. Needs `pip install lime`, which is not a dependency; without it, the script says so and ends.
Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterveil import profiles
from counterveil.fills import fill
from counterveil.lab.benchmarks.anytime_curve import ImageCounter
from counterveil.lab.benchmarks.datasets import FlaggedImage, flagged_scenes, load_pictograms
from counterveil.lab.benchmarks.metrics import mask_overlap
from counterveil.pipeline import CategoryClassifier
from counterveil.pipeline.components import Context, Stopwatch
from counterveil.pipeline.explain import explain
from measuring import machine, print_result, ratios, seconds, spread

SEED = 2027
MAX_REGIONS = 10


@dataclass
class Result:
    """Result of one method on one scene."""

    seconds: float = 0.0
    evaluations: int = 0
    flipped: bool = False
    mask: np.ndarray | None = None


def run_lime(scene: FlaggedImage, classifier: CategoryClassifier, samples: int) -> Result:
    from lime.lime_image import LimeImageExplainer

    counter, result = ImageCounter(classifier.classifier), Result()

    def probabilities(images: np.ndarray) -> np.ndarray:
        unsafe = counter.score(images.astype(np.uint8))
        return np.stack([1 - unsafe, unsafe], axis=1)

    def call() -> None:
        explanation = LimeImageExplainer(random_state=0).explain_instance(
            scene.image,
            probabilities,
            labels=(1,),
            hide_color=0,
            num_samples=samples,
        )
        ranked = [region for region, weight in explanation.local_exp[1] if weight > 0]
        for count in range(1, len(ranked[:MAX_REGIONS]) + 1):
            result.mask = np.isin(explanation.segments, ranked[:count])
            veiled = fill("black")(scene.image, result.mask[None])
            result.flipped = bool(counter.score(veiled)[0] < classifier.category.threshold)
            if result.flipped:
                break

    result.seconds, result.evaluations = seconds(call), counter.images
    return result


def run_counterveil(scene: FlaggedImage, classifier: CategoryClassifier) -> Result:
    config, result = profiles.PROFILES["pictograms"], Result()
    components = profiles.make_components(config)

    def call() -> None:
        explanations = explain(scene.image, [classifier], Context(components, config, Stopwatch()))
        explanation = explanations[classifier.category.key]
        result.flipped = explanation.result.outcome == "found"
        result.mask, result.evaluations = explanation.result.mask, explanation.evaluations

    result.seconds = seconds(call)
    return result


def summarise(results: Sequence[Result], scenes: Sequence[FlaggedImage]) -> dict[str, object]:
    overlaps = [
        mask_overlap(result.mask, scene.truth)
        for result, scene in zip(results, scenes, strict=True)
        if result.flipped and result.mask is not None and scene.truth is not None
    ]
    return {
        "flipped": sum(result.flipped for result in results),
        "seconds": spread([result.seconds for result in results]),
        "evaluations": statistics.mean(result.evaluations for result in results),
        "veiled_share": round(float(np.mean([o.area for o in overlaps])), 4) if overlaps else None,
        "iou": round(float(np.mean([o.iou for o in overlaps])), 4) if overlaps else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one scene per category, 50 samples")
    parser.add_argument("--scenes", type=int, default=4, help="scenes per category")
    parser.add_argument("--samples", type=int, default=1000)
    arguments = parser.parse_args()
    try:
        import lime  # noqa: F401
    except ImportError:
        print_result(
            "lime_vs_cse", skipped="LIME is not installed; `pip install lime` to measure it"
        )
        return
    count, samples = (1, 50) if arguments.quick else (arguments.scenes, arguments.samples)
    for classifier in load_pictograms().classifiers:
        scenes = list(flagged_scenes(classifier, count=count, seed=SEED))
        run_counterveil(scenes[0], classifier)  # compile and load first
        ours, theirs = [], []
        for scene in scenes:
            ours.append(run_counterveil(scene, classifier))
            theirs.append(run_lime(scene, classifier, samples))
        print_result(
            "lime_vs_cse",
            category=classifier.category.key,
            scenes=count,
            samples=samples,
            counterveil=summarise(ours, scenes),
            lime=summarise(theirs, scenes),
            times_faster=ratios([t.seconds for t in theirs], [o.seconds for o in ours]),
            **machine("torch", "lime"),
        )


if __name__ == "__main__":
    main()
