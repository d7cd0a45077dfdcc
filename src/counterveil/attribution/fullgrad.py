"""FullGrad: input gradients and bias gradients, summed into one map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from counterveil.attribution.base import TorchAttribution, gradient_of
from counterveil.attribution.layers import borrowed
from counterveil.classifiers.preprocessing import resize_maps
from counterveil.errors import UnsupportedModelError
from counterveil.types import GradientClassifier

TermVisitor = Callable[[Tensor], None]
"""Receives one term ``(B, C, h, w)`` of the sum; may overwrite it, must not keep it."""

TOLERANCE = 1e-2
"""Maximum relative completeness error. The decomposition is exact for piecewise-linear networks
only; others (ViTs, SiLU or GELU networks, squeeze-excite) exceed it."""


@dataclass(frozen=True, eq=False)
class Completeness:
    """The full-gradient sum compared with the target, for each image ``(B,)``.

    Attributes:
        value: f(x).
        total: ``x . grad_x f`` plus all bias gradients; ``value`` if f is piecewise linear.
        magnitude: sum of the absolute totals of all layers, the scale of rounding errors.
    """

    value: Tensor
    total: Tensor
    magnitude: Tensor

    @property
    def error(self) -> Tensor:
        """``|total - value|`` relative to ``magnitude``, ``(B,)``."""
        tiny = torch.finfo(self.value.dtype).tiny
        return (self.total - self.value).abs() / self.magnitude.clamp(min=tiny)


class FullGrad(TorchAttribution):
    """Sum over layers and channels of ``psi(bias gradient)``, plus ``psi(x * grad_x f)``.

    ``psi`` is the paper's: absolute value, min-max over the channels and pixels of one image
    jointly, bilinear resizing. Min-max is one affine map per layer and interpolation is linear,
    so channels, and layers of one resolution, are summed before they are resized. It takes one
    forward, and one backward to the input only.

    Terms without positions (linear layers, 1 x 1 maps) count in the completeness check but not
    in the map, as in the authors' code. pytorch-grad-cam normalises each channel separately,
    which gives a negligible channel the weight of a dominant one, and it skips subclasses of
    conv and batch norm.

    References:
        Srinivas and Fleuret, "Full-Gradient Representation for Neural Network Visualization",
        NeurIPS 2019, equations 3 (completeness) and 4 (the map).
    """

    name: ClassVar[str] = "fullgrad"

    def _maps(self, classifier: GradientClassifier, inputs: Tensor) -> Tensor:
        maps: dict[tuple[int, ...], Tensor] = {}

        def visit(term: Tensor) -> None:
            part = psi(term)
            size = tuple(part.shape[1:])
            maps[size] = maps[size] + part if size in maps else part  # summed before resizing

        module = classifier.module
        completeness = full_gradients(module, inputs, classifier.target, visit)
        if bool((completeness.error > TOLERANCE).any()):
            raise _not_piecewise_linear(module, float(completeness.error.max()))
        size = (inputs.shape[-2], inputs.shape[-1])
        return torch.stack([resize_maps(part, size) for part in maps.values()]).sum(dim=0)


def full_gradients(
    module: nn.Module, inputs: Tensor, target: Callable[[Tensor], Tensor], visit: TermVisitor
) -> Completeness:
    """Visit each spatial term of the full-gradient sum of ``target(module(inputs))``.

    The terms are ``x * grad_x f`` and each layer's ``bias * gradient``. ``inputs`` are
    ``(B, 3, h, w)``; ``target`` maps logits ``(B, C)`` to the scalar to explain ``(B,)``.
    """
    terms = _TermAccumulator(inputs, visit)
    layers = [layer for layer in module.modules() if has_bias(layer)]
    with borrowed(module, dict.fromkeys(layers, terms.hook)):
        leaf = inputs.detach().clone().requires_grad_()
        value = target(module(leaf))
        gradient = gradient_of(value, leaf, "fullgrad")  # calls the tensor hooks of `terms`
    terms.add(gradient * inputs, spatial=True)
    return Completeness(value.detach(), terms.total, terms.magnitude + value.detach().abs())


def psi(term: Tensor) -> Tensor:
    """Absolute value, min-max over an image's ``(C, h, w)``, summed over channels.

    Overwrites ``term`` ``(B, C, h, w)``. Returns ``(B, h, w)`` in ``[0, C]``, zeros where the
    term is constant.
    """
    magnitude = term.abs_()
    low, high = magnitude.amin((1, 2, 3)), magnitude.amax((1, 2, 3))
    span = torch.where(high > low, high - low, torch.inf)  # a constant term becomes 0
    lowered = magnitude.sum(1) - (low * term.shape[1])[:, None, None]
    return lowered / span[:, None, None]


class _TermAccumulator:
    """Takes each gradient when the backward pass computes it, and keeps sums only."""

    def __init__(self, inputs: Tensor, visit: TermVisitor) -> None:
        self.total = inputs.new_zeros(len(inputs))
        self.magnitude = inputs.new_zeros(len(inputs))
        self._visit = visit

    def hook(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if not output.requires_grad:
            return
        bias = bias_of(layer, output.detach())
        # On the tensor and at once: a later in-place ReLU would change what `output` is.
        output.register_hook(lambda gradient: self.add(gradient * bias.value, bias.spatial))

    def add(self, term: Tensor, spatial: bool) -> None:
        part = term.sum(tuple(range(1, term.ndim)))
        if len(part) != len(self.total):
            raise UnsupportedModelError(
                "fullgrad cannot explain windowed attention, which folds parts of an image into "
                "the batch; use 'gradcam', or 'occlusion', which needs scores only"
            )
        self.total += part
        self.magnitude += part.abs()
        if spatial and term.shape[-2:].numel() > 1:  # 1 x 1 maps have no positions
            self._visit(term)


def _not_piecewise_linear(module: nn.Module, error: float) -> UnsupportedModelError:
    layers = nonlinear_layers(module)
    cause = f" (it has {', '.join(layers)})" if layers else ""
    return UnsupportedModelError(
        "fullgrad needs a piecewise-linear network, such as a ReLU ConvNet with batch norm; "
        f"the full gradients of this model miss its output by {error:.0%}{cause}; "
        "use 'gradcam', or 'occlusion', which needs scores only"
    )


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
    if isinstance(layer, nn.Hardtanh):  # ReLU6 is a subclass
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
