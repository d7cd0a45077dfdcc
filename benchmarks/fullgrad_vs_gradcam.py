"""FullGrad compared with pytorch-grad-cam's: same ResNet-50, same image, timed alternately.

Run: python benchmarks/fullgrad_vs_gradcam.py [--rounds 7] [--threads N]
Prints a line of JSON; `times_faster` is their time divided by ours, round by round.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from counterveil.attribution.fullgrad import FullGrad
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.types import ModelInfo
from measuring import machine, print_result, ratios, spread, time_alternately

EDGE = 224


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
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calls, setting = contenders()
    for call in calls.values():
        call()
    times = time_alternately(calls, 1 if options.quick else options.rounds)
    print_result(
        "fullgrad_vs_gradcam",
        setting=setting,
        seconds={name: spread(values) for name, values in times.items()},
        times_faster=ratios(times["pytorch-grad-cam"], times["counterveil"]),
        **machine("torch", "torchvision", "grad-cam"),
    )


if __name__ == "__main__":
    main()
