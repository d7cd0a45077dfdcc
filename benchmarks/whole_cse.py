"""Time of a whole counterfactual compared with its unavoidable model calls: ResNet-50, 224 px.

Run: python benchmarks/whole_cse.py [--quick] [--search greedy]
Unavoidable are one forward and one backward pass for the attribution, and one forward pass for
each masked image of the search. Both are timed alternately in one process.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from counterveil import profiles
from counterveil.categories import Category
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.config import make_config
from counterveil.lab.scenes import draw_scene
from counterveil.pipeline import CategoryClassifier
from counterveil.pipeline.components import Context, Stopwatch
from counterveil.pipeline.explain import explain
from counterveil.types import ModelInfo
from measuring import machine, print_result, ratios


def unavoidable(classifier: TorchClassifier, image: np.ndarray, evaluations: int) -> float:
    """Seconds of one forward and backward pass, and of ``evaluations`` batched forward passes."""
    start = time.perf_counter()
    x = classifier.to_input(image[None]).requires_grad_()
    classifier.target(classifier.module(x)).sum().backward()
    left = evaluations
    with torch.inference_mode():
        while left > 0:
            batch = classifier.to_input(np.repeat(image[None], min(left, 16), axis=0))
            classifier.module(batch)
            left -= len(batch)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--search", default="greedy", choices=["greedy", "minimal"])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    module = import_torchvision().models.resnet50(num_classes=2)
    image = draw_scene(0, 0, split="test", category="self_harm", kind="unsafe").pixels
    safe = TorchClassifier(module, info=ModelInfo("resnet50:random")).score(image[None])[0] < 0.5
    # The weights are random: the class that it predicts for the image is taken as unsafe.
    classifier = TorchClassifier(
        module, info=ModelInfo("resnet50:random"), unsafe_indices=(0 if safe else 1,)
    )
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    category = Category("unsafe", "Unsafe", classifier="resnet50:random")
    flagged = [CategoryClassifier(category, classifier)]
    config = make_config(profiles.PROFILES["pictograms"], search=arguments.search)
    components = profiles.make_components(config)

    def whole() -> tuple[float, int]:
        start = time.perf_counter()
        explanation = explain(image, flagged, Context(components, config, Stopwatch()))["unsafe"]
        return time.perf_counter() - start, explanation.evaluations

    _, evaluations = whole()
    if evaluations < 3:
        raise SystemExit("the image is not flagged, so there is nothing to measure")
    unavoidable(classifier, image, evaluations)
    spent, least = [], []
    for _ in range(1 if arguments.quick else arguments.repeats):
        ours, evaluations = whole()
        spent.append(ours)
        least.append(unavoidable(classifier, image, evaluations))
    print_result(
        "whole_cse",
        setting="resnet50, 224 px, cpu",
        search=arguments.search,
        evaluations=evaluations,
        whole_over_unavoidable=ratios(spent, least),
        **machine("torch", "torchvision"),
    )


if __name__ == "__main__":
    main()
