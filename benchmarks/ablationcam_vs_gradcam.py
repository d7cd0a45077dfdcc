"""Ablation-CAM compared with pytorch-grad-cam's: same ResNet-50, same image, timed alternately.

Run: python benchmarks/ablationcam_vs_gradcam.py [--quick] [--channels 64,192]
Theirs takes minutes for all 2,048 channels, so it is timed on two subsets and extrapolated along
the line through both: one forward pass per channel, and a constant part. Prints lines of JSON;
`measured` is false for extrapolated times. `--all` times theirs on all channels.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch

from counterveil.attribution.cams import AblationCam
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.types import ModelInfo
from measuring import (
    machine,
    peak_megabytes,
    print_result,
    ratios,
    run_script,
    spread,
    time_alternately,
)


class Subset:
    """Of their layer that ablates: the first channels only, where theirs would take all."""

    @staticmethod
    def make(channels: int) -> torch.nn.Module:
        from pytorch_grad_cam.ablation_layer import AblationLayer

        class First(AblationLayer):
            def activations_to_be_ablated(
                self, activations: np.ndarray, ratio_channels_to_ablate: float = 1.0
            ) -> np.ndarray:
                self.indices = np.int32(range(min(channels, activations.shape[0])))
                return self.indices

        return First()


def contenders(
    edge: int, channels: tuple[int, ...], depth: int
) -> tuple[dict[str, Callable[[], object]], int]:
    """What is timed, by name; all of it on one model and one image. And how many channels."""
    torchvision = import_torchvision()  # before pytorch-grad-cam, which imports it too
    from pytorch_grad_cam import AblationCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    model = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    spec = InputSpec(edge, edge)
    classifier = TorchClassifier(model, info=ModelInfo(f"resnet{depth}"), input_spec=spec)
    image = np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8)
    inputs = classifier.to_input(image[None])
    ours = AblationCam()

    def theirs(count: int) -> Callable[[], object]:
        layer = Subset.make(count)
        cam = AblationCAM(model, [model.layer4[-1]], ablation_layer=layer)
        return lambda: cam(inputs, [ClassifierOutputTarget(1)])

    calls: dict[str, Callable[[], object]] = {"counterveil": lambda: ours(classifier, image)}
    return {**calls, **{str(n): theirs(n) for n in channels}}, model.fc.in_features


def drawn_out(times: dict[str, list[float]], channels: tuple[int, ...], total: int) -> list[float]:
    """Seconds for all channels in each round, along the line through two subsets."""
    few, many = channels
    pairs = zip(times[str(few)], times[str(many)], strict=True)
    return [b + (b - a) / (many - few) * (total - many) for a, b in pairs]


def memory(which: str, edge: int, depth: int) -> dict[str, float]:
    """Peak of one of them alone, in this process; theirs on one batch of channels."""
    calls, _ = contenders(edge, (32,), depth)
    calls["counterveil" if which == "counterveil" else "32"]()
    return {"peak_mb": round(peak_megabytes(), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ResNet-18 at 64 px, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--channels", default="64,192", help="two numbers")
    parser.add_argument("--all", action="store_true", help="theirs on all channels, too: minutes")
    parser.add_argument("--memory", nargs=3, metavar=("WHICH", "EDGE", "DEPTH"))
    arguments = parser.parse_args()
    if arguments.memory:
        which, edge, depth = arguments.memory
        print_result("memory", **memory(which, int(edge), int(depth)))
        return
    edge, depth, rounds = (64, 18, 1) if arguments.quick else (224, 50, arguments.rounds)
    few, many = (32, 96) if arguments.quick else map(int, arguments.channels.split(","))
    calls, total = contenders(edge, (few, many), depth)
    for name in ("counterveil", str(few)):
        calls[name]()
    times = time_alternately(calls, rounds)
    whole = drawn_out(times, (few, many), total)
    if arguments.all:
        calls, _ = contenders(edge, (total,), depth)
        whole = time_alternately({"theirs": calls[str(total)]}, 1)["theirs"]
        times["counterveil"] = [statistics.median(times["counterveil"])]
    peaks = {
        name: run_script(__file__, "--memory", name, edge, depth)["peak_mb"]
        for name in ("counterveil", "pytorch-grad-cam")
    }
    print_result(
        "ablationcam_vs_gradcam",
        setting=f"resnet{depth}, {edge} px, cpu",
        channels={"timed": [few, many], "all": total},
        measured=arguments.all,
        seconds={
            "counterveil": spread(times["counterveil"]),
            f"pytorch-grad-cam, {few} channels": spread(times[str(few)]),
            f"pytorch-grad-cam, {many} channels": spread(times[str(many)]),
            "pytorch-grad-cam, all channels": spread(whole),
        },
        times_faster=ratios(whole, times["counterveil"]),
        peak_mb=peaks,
        **machine("torch", "torchvision", "grad-cam"),
    )


if __name__ == "__main__":
    main()
