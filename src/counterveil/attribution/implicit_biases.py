"""Biases of the layers of a piecewise-linear network, implicit ones included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

SMOOTH_ACTIVATIONS = (
    "gelu", "silu", "swish", "sigmoid", "tanh", "selu", "celu", "mish", "softmax", "softplus",
)  # fmt: skip
"""Parts of the class names of activations that are not piecewise linear."""
INPUT_NORMS = ("layernorm", "groupnorm", "instancenorm", "rmsnorm", "attention")
"""Parts of the class names of layers that scale by their own input."""


@dataclass(frozen=True, eq=False)
class Bias:
    """What a layer adds to its output: ``value`` broadcasts; ``spatial`` outputs are maps."""

    value: Tensor
    spatial: bool


def has_bias(layer: nn.Module) -> bool:
    """Whether the layer's own forward adds a bias, explicit or implicit."""
    if _is_fixed_norm(layer) or isinstance(layer, nn.ReLU6 | nn.Hardtanh):
        return True
    return isinstance(layer, _ConvNd | nn.Linear) and layer.bias is not None


def bias_of(layer: nn.Module, output: Tensor) -> Bias:
    """The bias that a layer with ``has_bias`` added to ``output``.

    For batch norm with running statistics, ``beta - gamma * mean / sqrt(var + eps)``. A clipped
    unit (ReLU6, hard tanh) is constant, so its whole output is bias.
    """
    if isinstance(layer, nn.Hardtanh):
        saturated = (output == layer.min_val) | (output == layer.max_val)
        return Bias(torch.where(saturated, output, 0), output.ndim == 4)
    if isinstance(layer, nn.Linear):
        return Bias(layer.bias.detach(), spatial=False)
    value = _norm_bias(layer) if _is_fixed_norm(layer) else getattr(layer, "bias").detach()  # noqa: B009
    return Bias(value.view(-1, *[1] * (output.ndim - 2)), output.ndim == 4)


def nonlinear_layers(module: nn.Module) -> list[str]:
    """Class names of layers that are not piecewise linear, without repetition, in order."""
    classes = dict.fromkeys(type(layer).__name__ for layer in module.modules())
    words = SMOOTH_ACTIVATIONS + INPUT_NORMS
    return [name for name in classes if any(word in name.lower() for word in words)]


def _is_fixed_norm(layer: nn.Module) -> bool:
    # By attribute, not by class: frozen batch norms of other libraries do not subclass torch's.
    return all(
        getattr(layer, statistic, None) is not None for statistic in ("running_mean", "running_var")
    )


def _norm_bias(layer: Any) -> Tensor:
    mean, var = layer.running_mean, layer.running_var
    shift = -mean * torch.rsqrt(var + getattr(layer, "eps", 1e-5))
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    shift = shift if weight is None else shift * weight
    total: Tensor = shift if bias is None else shift + bias
    return total.detach()
