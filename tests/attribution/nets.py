"""Small networks with random, seeded weights, and the classifiers and images to go with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.fills import fill
from counterveil.types import ModelInfo

torchvision = import_torchvision()  # before transformers and pytorch-grad-cam, which import it

EDGE = 64
SPEC = InputSpec(height=EDGE, width=EDGE)


class Logits(nn.Module):
    """A transformers model that returns its logits tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixel_values=pixels).logits


class BlackBox:
    """Scores by brightness, without a module."""

    info = ModelInfo("black-box")

    def score(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).mean(axis=1) / 255


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with random batch norms and biases instead of identities and zeros."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        noise = torch.rand(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.data.copy_(0.5 + noise)
        elif name.endswith("running_mean"):
            tensor.data.copy_(noise - 0.5)
        elif name.endswith("bias"):
            tensor.data.copy_(0.4 * (noise - 0.5))
    return module.eval()


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(12, 6, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


def resnet() -> nn.Module:
    blocks = torchvision.models.resnet
    return blocks.ResNet(blocks.BasicBlock, [1, 1, 1, 1], num_classes=3)


def hf_resnet() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic", num_labels=3
    )
    return Logits(ResNetForImageClassification(config))


def hf_vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=EDGE,
        patch_size=16,
        num_labels=3,
        initializer_range=0.5,
    )
    return Logits(ViTForImageClassification(config))


def torchvision_vit() -> nn.Module:
    vit = torchvision.models.VisionTransformer(
        image_size=EDGE,
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=24,
        mlp_dim=32,
        num_classes=3,
    )
    nn.init.normal_(vit.heads[0].weight)  # torchvision initialises the head with zeros
    return vit


NETS: dict[str, Callable[[], nn.Module]] = {
    "convnet": convnet,
    "resnet": resnet,
    "hf_resnet": hf_resnet,
    "hf_vit": hf_vit,
    "torchvision_vit": torchvision_vit,
}
CONVNETS = ("convnet", "resnet", "hf_resnet")
VITS = ("hf_vit", "torchvision_vit")


def net(name: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomised(NETS[name](), seed)


def classifier(module: nn.Module, **options: Any) -> TorchClassifier:
    return TorchClassifier(module, info=ModelInfo("net"), input_spec=SPEC, **options)


def random_image(height: int = EDGE, width: int = EDGE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def quadrants(height: int = EDGE, width: int = EDGE) -> np.ndarray:
    """Labels 0..3, one per quadrant."""
    rows = np.arange(height)[:, None] >= height // 2
    columns = np.arange(width)[None] >= width // 2
    return (2 * rows + columns).astype(np.int32)


black_fill = fill("black")


def min_max(attribution_map: np.ndarray) -> np.ndarray:
    """Scaled to [0, 1], as pytorch-grad-cam scales its maps."""
    return (attribution_map - attribution_map.min()) / (
        attribution_map.max() - attribution_map.min()
    )
