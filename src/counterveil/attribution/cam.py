"""What class activation maps share: one layer's output and gradient, weighed and added up."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from counterveil.attribution.base import OpenClassifier, TorchAttribution, gradient_of
from counterveil.attribution.hooks import borrowed
from counterveil.attribution.layers import find_layer, tensor_of, to_grid
from counterveil.errors import UnsupportedModelError


class Cam(TorchAttribution):
    """``relu(sum over channels of weight * activation)`` at one layer.

    Args:
        layer: its name in the classifier's module; found where None (see ``find_layer``).
        batch: most images in one forward and backward.
    """

    def __init__(self, *, layer: str | None = None, batch: int = 8) -> None:
        super().__init__(batch=batch)
        self.layer = layer
        self._found: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()

    def find(self, module: nn.Module, inputs: Tensor) -> nn.Module:
        """The layer to read; looked for once a module."""
        name = self._found.get(module)
        if name is None:
            name = self._found[module] = find_layer(module, inputs, self.layer)
        return module.get_submodule(name)


class GradientCam(Cam):
    """A class activation map whose weights come from the gradient at the layer."""

    def _maps(self, classifier: OpenClassifier, inputs: Tensor) -> Tensor:
        module, layer = classifier.module, self.find(classifier.module, inputs)
        seen = _Seen()
        with borrowed(module, {layer: seen.hook}):
            value = classifier.target(module(inputs.detach().clone().requires_grad_()))
            activation, edge = seen.last(self.name)
            gradient = gradient_of(value, edge, self.name)
        size = (inputs.shape[-2], inputs.shape[-1])
        activation, gradient = (to_grid(layer, part, size) for part in (activation, gradient))
        weights = self.weigh(activation, gradient)  # (B, C)
        return torch.einsum("bc,bchw->bhw", weights, activation).relu()

    @abstractmethod
    def weigh(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weights ``(B, C)`` of the channels of an activation ``(B, C, gh, gw)``."""


class _Seen:
    """What the layer gave, its last time in one forward."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, GradientEdge] | None = None

    def hook(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        found = tensor_of(output)
        if found.requires_grad:
            # Copied, and its place in the graph noted, before an in-place layer changes both.
            self._last = found.detach().clone(), get_gradient_edge(found)

    def last(self, name: str) -> tuple[Tensor, GradientEdge]:
        if self._last is None:
            raise UnsupportedModelError(
                f"{name}: the layer took no part in the forward; name another with layer=..., "
                "or use the 'occlusion' attribution"
            )
        return self._last
