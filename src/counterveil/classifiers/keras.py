"""Keras convolutional networks, as Keras and TensorFlow.js describe them, as torch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.errors import UnsupportedModelError

Weights = Mapping[str, np.ndarray]
"""Arrays by Keras name, such as ``"Conv1/kernel"``, in Keras's layouts."""


class KerasNetwork(nn.Module):
    """A functional Keras model with one input and one output, ``(B, 3, h, w)`` to ``(B, classes)``.

    A softmax at the end is left out, so that the output is logits. Keras puts the channels last;
    here they come second.

    Args:
        layers: the layers' descriptions in order, each with its ``class_name``, ``config``, and
            ``inbound_nodes``.
        weights: arrays by name.

    Raises:
        UnsupportedModelError: a layer is of a kind that is not known here.
        KeyError: a weight, or a layer's input, is missing.
    """

    def __init__(self, layers: list[dict[str, Any]], weights: Weights) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._inputs: dict[str, list[str]] = {}
        for layer in layers:
            name = layer["name"]
            if layer["class_name"] == "InputLayer":
                self._input = name
                continue
            if layer["class_name"] not in _CONSTRUCTORS:
                raise UnsupportedModelError(f"Keras layers {layer['class_name']} are not supported")
            self._inputs[name] = [node[0] for node in layer["inbound_nodes"][0]]
            if unknown := [s for s in self._inputs[name] if s not in {self._input, *self.layers}]:
                raise KeyError(unknown[0])
            constructor = _CONSTRUCTORS[layer["class_name"]]
            self.layers[name] = constructor(layer["config"], _WeightsOf(name, weights))
        self._last_use = {
            source: name for name, sources in self._inputs.items() for source in sources
        }

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, classes)``."""
        outputs, output = {self._input: pixels}, pixels
        for name, sources in self._inputs.items():
            output = self.layers[name](*(outputs[source] for source in sources))
            outputs[name] = output
            for source in sources:  # what nothing reads any more needs no memory
                if self._last_use[source] == name:
                    outputs.pop(source, None)
        return output


class _WeightsOf:
    """The arrays of one layer, as tensors."""

    def __init__(self, layer: str, weights: Weights) -> None:
        self._layer, self._weights = layer, weights

    def __call__(self, name: str, *axes: int) -> Tensor:
        """The array ``name``, its axes permuted."""
        array = self._weights[f"{self._layer}/{name}"]
        return torch.from_numpy(np.ascontiguousarray(array.transpose(axes) if axes else array))


class SamePadding(nn.Module):
    """TensorFlow's padding "same": the output has ``ceil(n / stride)`` rows; odd rows go last."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with zeros around it."""
        (top, bottom), (left, right) = (
            _same(*each)
            for each in zip((x.shape[-2], x.shape[-1]), self.kernel, self.stride, strict=True)
        )
        return functional.pad(x, (left, right, top, bottom))


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Sum(nn.Module):
    """Adds its inputs."""

    def forward(self, *parts: Tensor) -> Tensor:
        """The sum."""
        return torch.stack(parts).sum(0) if len(parts) > 2 else parts[0] + parts[1]


class Concatenation(nn.Module):
    """Joins the channels of its inputs."""

    def forward(self, *parts: Tensor) -> Tensor:
        """All channels, in order."""
        return torch.cat(parts, dim=1)


class Flatten(nn.Module):
    """``(B, C, h, w)`` to ``(B, h * w * C)``: Keras's order, channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """The flat features."""
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)


def _convolution(config: Any, weights: _WeightsOf) -> nn.Module:
    kernel = weights("kernel", 3, 2, 0, 1)  # (out, in, h, w)
    return _filters(config, kernel, weights, groups=1)


def _depthwise(config: Any, weights: _WeightsOf) -> nn.Module:
    kernel = weights("depthwise_kernel", 2, 3, 0, 1)  # (in, multiplier, h, w)
    return _filters(config, kernel.reshape(-1, 1, *kernel.shape[2:]), weights, groups=len(kernel))


def _filters(config: Any, kernel: Tensor, weights: _WeightsOf, *, groups: int) -> nn.Module:
    size, stride = (int(kernel.shape[2]), int(kernel.shape[3])), _pair(config["strides"])
    if _pair(config["dilation_rate"]) != (1, 1):
        raise UnsupportedModelError("Keras convolutions with dilation are not supported")
    layer = nn.Conv2d(
        kernel.shape[1] * groups, len(kernel), size, stride, groups=groups, bias=config["use_bias"]
    )
    layer.weight = nn.Parameter(kernel)
    if config["use_bias"]:
        layer.bias = nn.Parameter(weights("bias"))
    padding = [SamePadding(size, stride)] if config["padding"] == "same" and size != (1, 1) else []
    return _sequence(*padding, layer, *_activation(config["activation"]))


def _batch_norm(config: Any, weights: _WeightsOf) -> nn.Module:
    mean = weights("moving_mean")
    layer = nn.BatchNorm2d(len(mean), eps=config["epsilon"])
    layer.running_mean, layer.running_var = mean, weights("moving_variance")
    layer.weight = nn.Parameter(weights("gamma") if config["scale"] else torch.ones_like(mean))
    layer.bias = nn.Parameter(weights("beta") if config["center"] else torch.zeros_like(mean))
    return layer


def _dense(config: Any, weights: _WeightsOf) -> nn.Module:
    kernel = weights("kernel", 1, 0)  # (out, in)
    layer = nn.Linear(kernel.shape[1], len(kernel), bias=config["use_bias"])
    layer.weight = nn.Parameter(kernel)
    if config["use_bias"]:
        layer.bias = nn.Parameter(weights("bias"))
    return _sequence(layer, *_activation(config["activation"]))


def _relu(config: Any, weights: _WeightsOf) -> nn.Module:
    if config.get("negative_slope") or config.get("threshold"):
        raise UnsupportedModelError("Keras ReLUs with a slope or a threshold are not supported")
    limit = config.get("max_value")
    return nn.ReLU() if limit is None else nn.Hardtanh(0.0, float(limit))


def _average_pool(config: Any, weights: _WeightsOf) -> nn.Module:
    size, stride = _pair(config["pool_size"]), _pair(config["strides"])
    if config["padding"] == "valid":
        return nn.AvgPool2d(size, stride)
    if stride != (1, 1) or size[0] % 2 == 0 or size[1] % 2 == 0:
        raise UnsupportedModelError("Keras average pools with uneven padding are not supported")
    # As in TensorFlow, the padding does not count.
    return nn.AvgPool2d(size, 1, (size[0] // 2, size[1] // 2), count_include_pad=False)


def _max_pool(config: Any, weights: _WeightsOf) -> nn.Module:
    if config["padding"] != "valid":
        raise UnsupportedModelError("Keras max pools with padding are not supported")
    return nn.MaxPool2d(_pair(config["pool_size"]), _pair(config["strides"]))


def _zero_padding(config: Any, weights: _WeightsOf) -> nn.Module:
    (top, bottom), (left, right) = config["padding"]
    return nn.ZeroPad2d((left, right, top, bottom))


def _activation(name: str) -> list[nn.Module]:
    if name in ("linear", "softmax"):  # a softmax comes last; its input is the logits
        return []
    if name == "relu":
        return [nn.ReLU()]
    raise UnsupportedModelError(f"Keras activations {name!r} are not supported")


def _sequence(*layers: nn.Module) -> nn.Module:
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def _pair(values: Any) -> tuple[int, int]:
    return int(values[0]), int(values[1])


_CONSTRUCTORS: Mapping[str, Callable[[Any, _WeightsOf], nn.Module]] = MappingProxyType(
    {
        "Conv2D": _convolution,
        "DepthwiseConv2D": _depthwise,
        "BatchNormalization": _batch_norm,
        "Dense": _dense,
        "ReLU": _relu,
        "Activation": lambda config, _: _sequence(*_activation(config["activation"])),
        "AveragePooling2D": _average_pool,
        "MaxPooling2D": _max_pool,
        "ZeroPadding2D": _zero_padding,
        "Add": lambda *_: Sum(),
        "Concatenate": lambda *_: Concatenation(),
        "Flatten": lambda *_: Flatten(),
        "Dropout": lambda *_: nn.Identity(),
    }
)
