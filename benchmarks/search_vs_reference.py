"""The whole counterfactual with our searches and with that of the paper's published code.

Run: python benchmarks/search_vs_reference.py [--quick] [--depth 10]
Same image, regions, attribution map, fill and model. The model runs on every masked image, but its
score comes from a rule, so that all searches find the same flip at the same depth: the image is
safe when its `depth` most important regions are veiled. At depth n the published code scores
2^n - 1 images. Prints a line of JSON for each depth from 2 to `--depth`, and draws a log-log plot.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bass_vs_slic import photograph
from counterveil import attribution, search, segmentation
from counterveil.categories import Category
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.config import Config
from counterveil.fills import fill
from counterveil.lab.benchmarks.plots import log_log_plot
from counterveil.pipeline import CategoryClassifier, Components, NamedMethod
from counterveil.pipeline.components import Context, Stopwatch
from counterveil.pipeline.explain import Explanation, explain
from counterveil.segmentation import region_scores
from counterveil.types import Images, ModelInfo, Scores
from measuring import machine, print_result, ratios, spread, time_alternately

SEARCHES = ("minimal", "greedy", "reference")
DEPTHS = (2, 4, 6, 8, 10)


class RuleClassifier(TorchClassifier):
    """Runs the network, but scores by the rule."""

    needed: np.ndarray | None = None
    """Pixels that must be black for the image to be safe, ``(regions, H, W)``."""

    def score(self, images: Images) -> Scores:
        super().score(images)
        if self.needed is None:
            return np.full(len(images), 0.9)
        black = (images == 0).all(axis=3)
        safe = [all(one[region].all() for region in self.needed) for one in black]
        return np.where(safe, 0.01, 0.9)


def make(depth: int, edge: int, layers: int) -> tuple[np.ndarray, CategoryClassifier]:
    """An image, and a classifier whose decision flips at that depth."""
    torch.manual_seed(0)
    module = getattr(import_torchvision().models, f"resnet{layers}")(num_classes=2)
    name = f"resnet{layers}"
    classifier = RuleClassifier(module, info=ModelInfo(name), input_spec=InputSpec(edge, edge))
    image = np.maximum(photograph("astronaut", 224), 1)  # only veiled pixels are black
    category = Category("unsafe", "Unsafe", classifier=f"{name}:random")
    flagged = CategoryClassifier(category, classifier)
    explanation = explain(image, [flagged], Context(components("greedy"), Config(), Stopwatch()))[
        "unsafe"
    ]
    importance = region_scores(explanation.attribution_map, explanation.labels)
    top = np.argsort(-importance, kind="stable")[:depth]
    classifier.needed = np.stack([explanation.labels == region for region in top])
    return image, flagged


def components(name: str) -> Components:
    """The same for each search; without refinement, which only ours would use."""
    return Components(
        attribution=NamedMethod("fullgrad", attribution.make("fullgrad")),
        black_box_attribution=NamedMethod("occlusion", attribution.make("occlusion")),
        segmentation=NamedMethod("bass", segmentation.make("bass")),
        black_box_segmentation=segmentation.make("bass"),
        refinement=None,
        search=NamedMethod(name, search.make(name)),
        fill=fill("black"),
    )


def measure(depth: int, edge: int, layers: int, rounds: int) -> dict[str, float]:
    """Time whole counterfactuals at one depth; returns the median seconds of each search."""
    image, flagged = make(depth, edge, layers)
    config = Config(margin=0, max_evaluations=1 << (depth + 1))
    found: dict[str, Explanation] = {}

    def whole(name: str) -> Callable[[], None]:
        chosen = components(name)

        def call() -> None:
            found[name] = explain(image, [flagged], Context(chosen, config, Stopwatch()))["unsafe"]

        return call

    calls = {name: whole(name) for name in SEARCHES}
    calls["minimal"]()  # compile and load first
    times = time_alternately(calls, rounds)
    for name, explanation in found.items():
        result = explanation.result
        if (result.outcome, len(result.regions)) != ("found", depth):
            raise SystemExit(f"{name} found {len(result.regions)} regions, not {depth}")
    print_result(
        "search_vs_reference",
        setting=f"resnet{layers}, {edge} px, cpu",
        depth=depth,
        regions=found["minimal"].result.regions_total,
        evaluations={name: explanation.evaluations for name, explanation in found.items()},
        seconds={name: spread(values) for name, values in times.items()},
        times_faster={name: ratios(times["reference"], times[name]) for name in SEARCHES[:2]},
        **machine("torch", "torchvision"),
    )
    return {name: spread(values)["median"] for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ResNet-18 at 64 px, to depth 5")
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("out/bench/search_vs_reference.svg"))
    arguments = parser.parse_args()
    edge, layers, deepest = (64, 18, 5) if arguments.quick else (224, 50, arguments.depth)
    depths = sorted({d for d in DEPTHS if d < deepest} | {deepest})
    medians = {depth: measure(depth, edge, layers, arguments.rounds) for depth in depths}
    series = {name: [(depth, medians[depth][name]) for depth in depths] for name in SEARCHES}
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    arguments.plot.write_bytes(
        log_log_plot(series, x="depth (regions veiled)", y="time of one counterfactual (s)")
    )


if __name__ == "__main__":
    main()
