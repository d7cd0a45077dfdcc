"""Class activation maps: Grad-CAM, Grad-CAM++, XGrad-CAM and Ablation-CAM."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from counterveil.attribution.base import TorchAttribution, gradient_of
from counterveil.attribution.layers import borrowed, find_layer, layer_error, output_tensor, to_grid
from counterveil.attribution.partial_forward import PartialForward
from counterveil.types import GradientClassifier


class ClassActivationMap(TorchAttribution):
    """``relu(sum over channels of weight * activation)`` at one layer.

    ``layer`` is its name in the classifier's module; ``find_layer`` chooses one by default.
    """

    def __init__(self, *, layer: str | None = None, batch_size: int = 8) -> None:
        super().__init__(batch_size=batch_size)
        self.layer = layer
        self._layer_names: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()

    def resolve_layer(self, module: nn.Module, inputs: Tensor) -> nn.Module:
        """The layer to read; found once per module."""
        name = self._layer_names.get(module)
        if name is None:
            name = self._layer_names[module] = find_layer(module, inputs, self.layer)
        return module.get_submodule(name)


class GradientCam(ClassActivationMap):
    """A class activation map with channel weights from the gradient at the layer."""

    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        module, layer = classifier.module, self.resolve_layer(classifier.module, inputs)
        recorded: list[tuple[Tensor, GradientEdge]] = []

        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            tensor = output_tensor(output)
            if tensor.requires_grad:
                # Copied, with its edge in the graph, before an in-place layer changes both.
                recorded[:] = [(tensor.detach().clone(), get_gradient_edge(tensor))]

        with borrowed(module, {layer: record}):
            value = classifier.target(module(inputs.detach().clone().requires_grad_()))
            if not recorded:
                raise layer_error("took no part in the forward")
            activation, edge = recorded.pop()
            gradient = gradient_of(value, edge, self.name)
        return self.weighted_map(layer, activation, gradient, (inputs.shape[-2], inputs.shape[-1]))

    def weighted_map(
        self, layer: nn.Module, activation: Tensor, gradient: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """The map ``(B, gh, gw)`` of a layer's activation and its gradient.

        Args:
            layer: the layer.
            activation: its output.
            gradient: of the target with respect to ``activation``.
            size: ``(h, w)`` of the network's input.
        """
        activation, gradient = (to_grid(layer, part, size) for part in (activation, gradient))
        weights = self._channel_weights(activation, gradient)  # (B, C)
        return torch.einsum("bc,bchw->bhw", weights, activation).relu()

    @abstractmethod
    def _channel_weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Weights ``(B, C)`` of the channels of an activation ``(B, C, gh, gw)``."""


class GradCam(GradientCam):
    """``weight = mean over pixels of dy/dA``.

    References:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization", ICCV 2017, equations 1 and 2.
    """

    name: ClassVar[str] = "gradcam"

    def _channel_weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        return gradient.mean((2, 3))


class GradCamPlusPlus(GradientCam):
    """``weight = sum of alpha * relu(g)``, ``alpha = g^2 / (2 g^2 + sum(A) g^3)``, g = dy/dA.

    The paper explains ``exp(y)``, whose gradient differs by a factor that is constant within an
    image and is left out here. pytorch-grad-cam adds 1e-6 to the denominator of alpha, which
    dominates small gradients and changes the map of a model with a small head. Here the
    denominator is exact; alpha is zero where the gradient is not positive, or where activations
    below zero make the denominator not positive.

    References:
        Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for
        Deep Convolutional Networks", WACV 2018, equations 5, 7 and 19.
    """

    name: ClassVar[str] = "gradcam++"

    def _channel_weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        positive = gradient.relu()
        # alpha * g with g^2 cancelled, so that small gradients do not underflow.
        denominator = 2 + activation.sum((2, 3), keepdim=True) * positive
        weighted = torch.where(denominator > 0, positive / denominator, 0)
        return weighted.sum((2, 3))


class XGradCam(GradientCam):
    """``weight = sum(A * dy/dA) / sum(A)``; zero for a channel whose activations sum to zero.

    References:
        Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of
        CNNs", BMVC 2020, equation 9.
    """

    name: ClassVar[str] = "xgradcam"

    def _channel_weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        total = activation.sum((2, 3))
        weighted = (activation * gradient).sum((2, 3))
        return torch.where(total == 0, 0, weighted / total)  # a dead channel weighs nothing


class AblationCam(ClassActivationMap):
    """``weight of channel k = (y - y_k) / |y|``, where y_k is the target with channel k zero.

    No gradients are taken. Where a mean over pixels and one linear layer follow the layer (the
    last stage of ResNets and most ConvNets), one forward gives every y_k: ablating a channel
    subtracts ``W[:, k] * mean(A_k)`` from the logits. Elsewhere the network behind the layer
    runs once per channel, in batches.

    The paper and pytorch-grad-cam divide by y, which inverts the map where y is negative; here
    it is the absolute value. pytorch-grad-cam ablates activations that can be negative with
    -1e7; here, as in the paper, with zero.

    ``batch_size`` is the maximum number of ablated activations in one partial forward.

    References:
        Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network
        via Gradient-free Localization", WACV 2020, equations 4 and 5.
    """

    name: ClassVar[str] = "ablationcam"

    def __init__(self, *, layer: str | None = None, batch_size: int = 32) -> None:
        super().__init__(layer=layer, batch_size=batch_size)

    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        layer = self.resolve_layer(classifier.module, inputs)
        size = (inputs.shape[-2], inputs.shape[-1])
        maps = []
        for image in inputs:
            forward = PartialForward(classifier.module, layer, image[None])
            grid = to_grid(layer, forward.activation, size)  # (1, C, gh, gw)
            ablated = self._ablated_logits(forward, layer, size, grid.shape[1])
            weights = _ablation_weights(classifier, forward.logits, ablated)
            maps.append(torch.einsum("c,chw->hw", weights, grid[0]).relu())
        return torch.stack(maps)

    def _ablated_logits(
        self, forward: PartialForward, layer: nn.Module, size: tuple[int, int], channels: int
    ) -> Tensor:
        """The logits without each of the channels, ``(C, classes)``."""
        activation = forward.activation
        if linear := forward.pooled_head():
            return forward.logits - (linear.weight.detach() * activation.mean((2, 3))).T
        parts = []
        for start in range(0, channels, self.batch_size):
            chunk = torch.arange(start, min(start + self.batch_size, channels))
            ablated = activation.repeat(len(chunk), *[1] * (activation.ndim - 1))
            grid = to_grid(layer, ablated, size)
            grid[torch.arange(len(chunk)), chunk] = 0  # a view: writes to `ablated`
            parts.append(forward.run(ablated))
        return torch.cat(parts)


def _ablation_weights(classifier: GradientClassifier, logits: Tensor, ablated: Tensor) -> Tensor:
    value = classifier.target(logits)  # (1,)
    drop: Tensor = value - classifier.target(ablated)  # (C,)
    # A channel without influence gets weight zero instead of its rounding error.
    rounding = 16 * torch.finfo(drop.dtype).eps * logits.abs().max()
    drop = torch.where(drop.abs() <= rounding, 0, drop)
    return torch.where(value == 0, drop, drop / value.abs())
