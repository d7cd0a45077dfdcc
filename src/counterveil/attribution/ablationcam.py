"""Ablation-CAM: channels weighed by what the score loses without them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from counterveil.attribution.base import OpenClassifier
from counterveil.attribution.cam import Cam
from counterveil.attribution.layers import to_grid
from counterveil.attribution.tail import Tail


class AblationCam(Cam):
    """``weight of channel k = (y - y_k) / |y|``, where y_k is the target with channel k zero.

    Gradients are never taken. Behind a layer that is followed by a mean over pixels and one
    linear layer (ResNets and most ConvNets, at their last stage), every y_k is known from the
    one forward: taking a channel away takes ``W[:, k] * mean(A_k)`` off the logits. Elsewhere
    the part of the network behind the layer runs once a channel, in batches.

    The paper divides by y, which turns the map around where y is negative, as pytorch-grad-cam
    does; hence the absolute value. pytorch-grad-cam also ablates activations that can be
    negative by -1e7, where the paper sets them to zero.

    Args:
        layer: its name in the classifier's module; found where None (see ``find_layer``).
        batch: most ablated activations in one run of the tail.

    References:
        Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network
        via Gradient-free Localization", WACV 2020, equations 4 and 5.
    """

    name: ClassVar[str] = "ablationcam"

    def __init__(self, *, layer: str | None = None, batch: int = 32) -> None:
        super().__init__(layer=layer, batch=batch)

    def _maps(self, classifier: OpenClassifier, inputs: Tensor) -> Tensor:
        layer = self.find(classifier.module, inputs)
        size = (inputs.shape[-2], inputs.shape[-1])
        maps = []
        for image in inputs:
            tail = Tail(classifier.module, layer, image[None])
            grid = to_grid(layer, tail.activation, size)  # (1, C, gh, gw)
            ablated = self._ablated_logits(tail, layer, size, grid.shape[1])
            weights = _weights(classifier, tail.logits, ablated)
            maps.append(torch.einsum("c,chw->hw", weights, grid[0]).relu())
        return torch.stack(maps)

    def _ablated_logits(
        self, tail: Tail, layer: torch.nn.Module, size: tuple[int, int], channels: int
    ) -> Tensor:
        """The logits without each of the channels, ``(C, classes)``."""
        if linear := tail.pooled_head():
            return tail.logits - (linear.weight.detach() * tail.activation.mean((2, 3))).T
        parts = []
        for start in range(0, channels, self.batch):
            chunk = torch.arange(start, min(start + self.batch, channels))
            activations = tail.activation.repeat(len(chunk), *[1] * (tail.activation.ndim - 1))
            grid = to_grid(layer, activations, size)
            grid[torch.arange(len(chunk)), chunk] = 0  # a view: in place
            parts.append(tail.run(activations))
        return torch.cat(parts)


def _weights(classifier: OpenClassifier, logits: Tensor, ablated: Tensor) -> Tensor:
    value = classifier.target(logits)  # (1,)
    drop = value - classifier.target(ablated)  # (C,)
    # Channels that nothing depends on must weigh nothing, not what rounding leaves of them.
    rounding = 16 * torch.finfo(drop.dtype).eps * logits.abs().max()
    drop = torch.where(drop.abs() <= rounding, 0, drop)
    return torch.where(value == 0, drop, drop / value.abs())
