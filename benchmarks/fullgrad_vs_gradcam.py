"""Times FullGrad against pytorch-grad-cam's: same ResNet-50, same image, one after the other.

Run: python benchmarks/fullgrad_vs_gradcam.py [--rounds 7] [--threads N]
Prints one line of JSON, then a table. The ratio is the median over rounds of theirs / ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch

from counterveil.attribution.fullgrad import FullGrad
from counterveil.classifiers._torchvision import import_torchvision
from counterveil.classifiers.base import TorchClassifier
from counterveil.types import ModelInfo

EDGE = 224


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def contenders() -> tuple[dict[str, Callable[[], object]], str]:
    """What is timed, by name; all of it on one model and one image."""
    torchvision = import_torchvision()  # before pytorch-grad-cam, which imports it too
    from pytorch_grad_cam import FullGrad as TheirFullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None)
    classifier = TorchClassifier(model, info=ModelInfo("resnet50"))
    image = np.random.default_rng(0).integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8)
    inputs = classifier.to_input(image[None])
    theirs = TheirFullGrad(model, [])
    ours = FullGrad()

    def forward() -> None:
        with torch.inference_mode():
            model(inputs)

    def backward() -> None:
        leaf = inputs.clone().requires_grad_()
        torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)

    return {
        "counterveil": lambda: ours(classifier, image),
        "pytorch-grad-cam": lambda: theirs(inputs, [ClassifierOutputTarget(1)]),
        "forward and backward alone": backward,
        "forward alone": forward,
    }, f"resnet50, {EDGE} px, cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calls, setting = contenders()
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.rounds):  # alternating, so that a busy machine is busy for both
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    pairs = zip(times["pytorch-grad-cam"], times["counterveil"], strict=True)
    ratio = statistics.median(theirs / ours for theirs, ours in pairs)
    medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
    versions = {name: version(name) for name in ("torch", "torchvision", "grad-cam")}
    print(
        json.dumps(
            {
                "benchmark": "fullgrad_vs_gradcam",
                "setting": setting,
                "threads": options.threads,
                "rounds": options.rounds,
                "median_ms": medians,
                "ratio": round(ratio, 2),
                "versions": versions,
            }
        )
    )
    for name, value in medians.items():
        print(f"{name:<28}{value:>9.1f} ms")
    print(f"{'times faster':<28}{ratio:>9.1f}")


if __name__ == "__main__":
    main()
