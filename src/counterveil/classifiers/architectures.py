"""Networks by name; each maps ``(B, 3, h, w)`` to logits ``(B, classes)``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType

import torch
from torch import Tensor, nn

from counterveil.registry import make_component

_operator_declarations: list[object] = []
"""Keeps the declared operators alive: torch drops them when the library object is collected."""


def import_torchvision() -> ModuleType:
    """Import torchvision even where its compiled operators cannot load.

    Next to a CPU build of torch, the operators of the CUDA wheel do not load, and registering
    their shape functions fails at import. Declaring both operators first lets the Python part
    import; calling one still fails. Call this before importing transformers, which imports
    torchvision too.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _operator_declarations.append(library)
    return importlib.import_module("torchvision")


class SlimResNet(nn.Module):
    """A narrow ResNet for CPUs: 2.8 M parameters, basic blocks of 32 to 256 channels.

    References:
        He et al., "Deep Residual Learning for Image Recognition", 2016, as in transformers.
    """

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        import_torchvision()
        from transformers import ResNetConfig, ResNetForImageClassification

        config = ResNetConfig(
            embedding_size=32, hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 2, 2],
            layer_type="basic", num_labels=classes,
        )  # fmt: skip
        self.network = ResNetForImageClassification(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of normalised pixels ``(B, 3, h, w)``."""
        logits: Tensor = self.network(pixels, return_dict=True).logits
        return logits


def _torchvision_network(name: str, classes: int = 2) -> nn.Module:
    module: nn.Module = getattr(import_torchvision().models, name)(num_classes=classes)
    return module


ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "resnet50": partial(_torchvision_network, "resnet50"),
        "resnet18": partial(_torchvision_network, "resnet18"),
        "slim": SlimResNet,
    }
)


def last_stages(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The last two stages of one of these networks; each returns maps ``(B, C, h, w)``."""
    if isinstance(module, SlimResNet):
        third, fourth = module.network.resnet.encoder.stages[-2:]
        return third, fourth
    return module.get_submodule("layer3"), module.get_submodule("layer4")


def build_network(name: str, classes: int = 2) -> nn.Module:
    """A network with random weights; an unknown name is a ``UsageError``."""
    return make_component("architecture", ARCHITECTURES, name, {"classes": classes})
