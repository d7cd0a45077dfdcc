"""FullGrad: input-gradients and bias-gradients, added up into one map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from counterveil.attribution.base import OpenClassifier, TorchAttribution, gradient_of, resized
from counterveil.attribution.biases import bias_of, has_bias, suspects
from counterveil.attribution.hooks import borrowed
from counterveil.errors import UnsupportedModelError

Visit = Callable[[Tensor], None]
"""Is given one term ``(B, C, h, w)`` of the sum, to keep nothing of and overwrite freely."""


@dataclass(frozen=True, eq=False)
class Completeness:
    """The full-gradient sum against what it adds up to, for each image ``(B,)``.

    Attributes:
        value: f(x).
        total: ``x . grad_x f`` plus all bias-gradients; equals ``value`` where f is
            piecewise linear.
        magnitude: sum over the layers of their terms' absolute totals; what rounding errors
            are measured against.
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
    """Sum over layers and channels of ``psi(bias-gradient)``, plus ``psi(x * grad_x f)``.

    ``psi`` is the paper's: absolute value, then min-max over one image's channels and pixels
    jointly, then bilinear to the input's size. Min-max is one affine map a layer and
    interpolation is linear, so channels are added up before anything is resized, and layers of
    one resolution before that resolution is: a handful of one-channel maps are interpolated
    instead of tens of thousands. One forward, one backward, to the input only.

    Terms with no position (linear layers, 1 x 1 maps) count in the completeness and not in the
    map, as in the authors' code.

    pytorch-grad-cam departs: it normalises each channel by itself, which gives a negligible
    channel a dominant one's weight, and it passes over subclasses of conv and batch norm.

    Args:
        batch: most images in one forward and backward.
        tolerance: largest relative completeness error accepted. The decomposition holds for
            piecewise-linear networks only; others (ViTs, SiLU or GELU nets, squeeze-excite)
            are refused by it, whatever their layers are called.

    References:
        Srinivas and Fleuret, "Full-Gradient Representation for Neural Network Visualization",
        NeurIPS 2019, equations 3 (completeness) and 4 (the map).
    """

    name: ClassVar[str] = "fullgrad"

    def __init__(self, *, batch: int = 8, tolerance: float = 1e-2) -> None:
        super().__init__(batch=batch)
        self.tolerance = tolerance

    def _maps(self, classifier: OpenClassifier, inputs: Tensor) -> Tensor:
        maps: dict[tuple[int, ...], Tensor] = {}

        def visit(term: Tensor) -> None:
            part = psi(term)
            size = tuple(part.shape[1:])
            maps[size] = maps[size] + part if size in maps else part

        module = classifier.module
        check = full_gradients(module, inputs, classifier.target, visit)
        if bool((check.error > self.tolerance).any()):
            raise UnsupportedModelError(_refusal(module, float(check.error.max())))
        size = (inputs.shape[-2], inputs.shape[-1])
        return torch.stack([resized(part, size) for part in maps.values()]).sum(dim=0)


def full_gradients(
    module: nn.Module, inputs: Tensor, target: Callable[[Tensor], Tensor], visit: Visit
) -> Completeness:
    """Visit each spatial term of the full-gradient sum of ``target(module(inputs))``.

    Args:
        module: from inputs to logits.
        inputs: ``(B, 3, h, w)``.
        target: from logits ``(B, C)`` to what is explained ``(B,)``.
        visit: called with ``x * grad_x f`` and with each layer's ``bias * gradient``.
    """
    terms = _Terms(inputs, visit)
    layers = [layer for layer in module.modules() if has_bias(layer)]
    with borrowed(module, dict.fromkeys(layers, terms.hook)):
        leaf = inputs.detach().clone().requires_grad_()
        value = target(module(leaf))
        gradient = gradient_of(value, leaf, "fullgrad")
    terms.add(gradient * inputs, spatial=True)
    return Completeness(value.detach(), terms.total, terms.magnitude + value.detach().abs())


def psi(term: Tensor) -> Tensor:
    """Absolute value, min-max over an image's ``(C, h, w)``, summed over channels.

    Args:
        term: ``(B, C, h, w)``, overwritten.

    Returns:
        ``(B, h, w)`` in ``[0, C]``; zeros where the term is the same everywhere.
    """
    magnitude = term.abs_()
    low, high = magnitude.amin((1, 2, 3)), magnitude.amax((1, 2, 3))
    span = torch.where(high > low, high - low, torch.inf)
    lowered = magnitude.sum(1) - (low * term.shape[1])[:, None, None]
    return lowered / span[:, None, None]


class _Terms:
    """Takes each gradient as the backward pass makes it, and keeps sums only."""

    def __init__(self, inputs: Tensor, visit: Visit) -> None:
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
                "fullgrad needs layers that keep images apart; one of this model's folds parts of "
                "an image into the batch (windowed attention does); use 'gradcam', or "
                "'occlusion', which serves any model"
            )
        self.total += part
        self.magnitude += part.abs()
        if spatial and term.shape[-2:].numel() > 1:
            self._visit(term)


def _refusal(module: nn.Module, error: float) -> str:
    found = suspects(module)
    cause = f" (it has {', '.join(found)})" if found else ""
    return (
        f"fullgrad serves piecewise-linear networks, such as ReLU ConvNets with batch norm; "
        f"this one's full gradients miss its output by {error:.0%}{cause}; "
        "use 'gradcam', or 'occlusion', which serves any model"
    )
