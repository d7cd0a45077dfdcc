"""Networks by name; each maps ``(B, 3, h, w)`` to logits ``(B, classes)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor, nn

from counterveil.classifiers._torchvision import import_torchvision
from counterveil.errors import UsageError


class Slim(nn.Module):
    """A narrow ResNet for CPUs: 2.8 M parameters, basic blocks of 32 to 256 channels.

    References:
        He et al., "Deep Residual Learning for Image Recognition", 2016, as in transformers.
    """

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        import_torchvision()
        from transformers import ResNetConfig, ResNetForImageClassification

        config = ResNetConfig(
            embedding_size=32,
            hidden_sizes=[32, 64, 128, 256],
            depths=[2, 2, 2, 2],
            layer_type="basic",
            num_labels=classes,
        )
        self.network = ResNetForImageClassification(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of normalised pixels ``(B, 3, h, w)``."""
        logits: Tensor = self.network(pixels, return_dict=True).logits
        return logits


def _torchvision(name: str) -> Callable[[int], nn.Module]:
    def construct(classes: int = 2) -> nn.Module:
        module: nn.Module = getattr(import_torchvision().models, name)(num_classes=classes)
        return module

    return construct


ARCHITECTURES: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType(
    {"resnet50": _torchvision("resnet50"), "resnet18": _torchvision("resnet18"), "slim": Slim}
)


def stages(module: nn.Module) -> tuple[nn.Module, ...]:
    """The last two stages of one of these networks; each returns a map ``(B, C, h, w)``."""
    if isinstance(module, Slim):
        return tuple(module.network.resnet.encoder.stages[-2:])
    return (module.get_submodule("layer3"), module.get_submodule("layer4"))


def build(name: str, classes: int = 2) -> nn.Module:
    """A network with fresh weights.

    Raises:
        UsageError: no architecture has that name.
    """
    if name not in ARCHITECTURES:
        raise UsageError(
            f"no architecture is called {name!r}; choose one of {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name](classes)
