"""The whole counterfactual with our search, and with the search of the paper's published code.

Run as `python benchmarks/search_vs_reference.py [--quick] [--depth 10]`. Same image, regions, map,
fill and model. The model's forwards are run and paid for, but what it says of a veiled image is
given by a rule, so that both searches meet the same flip at the same depth: safe once the `depth`
most important regions are veiled. At depth n the published code scores 2^n - 1 images. Prints a
line of JSON for each depth up to `--depth` (from 2), and the log-log plot over depth.
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
from counterveil.classifiers.torch_classifier import InputSpec, TorchClassifier
from counterveil.fills import fill
from counterveil.pipeline import CategoryClassifier, Components, Named, Settings
from counterveil.pipeline.explain import Explainer, Explanation
from counterveil.pipeline.timing import Stopwatch
from counterveil.segmentation import region_scores
from counterveil.types import Images, ModelInfo, Scores
from loglog import plot
from measuring import emit, in_turn, machine, ratios, spread

SEARCHES = ("minimal", "greedy", "reference")
DEPTHS = (2, 4, 6, 8, 10)


class Ruled(TorchClassifier):
    """Pays for each forward; its answer is by the rule."""

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
    """An image, and a watch whose decision flips at that depth."""
    torch.manual_seed(0)
    module = getattr(import_torchvision().models, f"resnet{layers}")(num_classes=2)
    name = f"resnet{layers}"
    classifier = Ruled(module, info=ModelInfo(name), input_spec=InputSpec(edge, edge))
    image = np.maximum(photograph("astronaut", 224), 1)  # nothing is black before it is veiled
    explained = Explainer(image, methods("greedy"), Settings(), Stopwatch()).explain(
        CategoryClassifier(Category("unsafe", "Unsafe", classifier=f"{name}:random"), classifier)
    )
    importance = region_scores(explained.attribution_map, explained.labels)
    top = np.argsort(-importance, kind="stable")[:depth]
    classifier.needed = np.stack([explained.labels == region for region in top])
    return image, CategoryClassifier(
        Category("unsafe", "Unsafe", classifier=f"{name}:random"), classifier
    )


def methods(name: str) -> Components:
    """All the same but for the search, and no finer partition, which only ours would use."""
    return Components(
        attribution=Named("fullgrad", attribution.make("fullgrad")),
        black_box=Named("occlusion", attribution.make("occlusion")),
        segmentation=Named("bass", segmentation.make("bass")),
        refinement_labels=None,
        search=Named(name, search.make(name)),
        fill=fill("black"),
    )


def measure(depth: int, edge: int, layers: int, rounds: int) -> dict[str, float]:
    """Whole counterfactuals at one depth; the median seconds of each search."""
    image, watch = make(depth, edge, layers)
    settings = Settings(target=0.5, max_evaluations=1 << (depth + 1))
    found: dict[str, Explanation] = {}

    def whole(name: str) -> Callable[[], None]:
        parts = methods(name)

        def call() -> None:
            found[name] = Explainer(image, parts, settings, Stopwatch()).explain(watch)

        return call

    calls = {name: whole(name) for name in SEARCHES}
    calls["minimal"]()  # compiled and loaded
    times = in_turn(calls, rounds)
    for name, explanation in found.items():
        result = explanation.counterfactual
        if (result.outcome, len(result.regions)) != ("found", depth):
            raise SystemExit(f"{name} found {len(result.regions)} regions, not {depth}")
    emit(
        "search_vs_reference",
        setting=f"resnet{layers}, {edge} px, cpu",
        depth=depth,
        regions=found["minimal"].counterfactual.regions_total,
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
    asked = parser.parse_args()
    edge, layers, deepest = (64, 18, 5) if asked.quick else (224, 50, asked.depth)
    depths = sorted({d for d in DEPTHS if d < deepest} | {deepest})
    medians = {depth: measure(depth, edge, layers, asked.rounds) for depth in depths}
    series = {name: [(depth, medians[depth][name]) for depth in depths] for name in SEARCHES}
    asked.plot.parent.mkdir(parents=True, exist_ok=True)
    asked.plot.write_text(plot(series, x="depth", y="seconds for the whole counterfactual"))


if __name__ == "__main__":
    main()
