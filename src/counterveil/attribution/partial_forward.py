"""Runs the part of a network behind one layer on other activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from counterveil.attribution.layers import borrowed, layer_error, output_tensor, substituted


class PartialForward:
    """One recorded forward of one image, whose end can be repeated on other activations.

    Layers that finished before ``layer`` return their recorded outputs, so that only the layers
    behind it compute. Where that does not reproduce the recorded logits (for example because
    code at the front reads the batch size), whole forwards are run. Use under ``torch.no_grad``.

    Attributes:
        activation: the layer's output for ``inputs`` ``(1, 3, h, w)``.
        logits: ``(1, classes)``.
    """

    def __init__(self, module: nn.Module, layer: nn.Module, inputs: Tensor) -> None:
        recorder = _ForwardRecorder(layer)
        with borrowed(module, dict.fromkeys(module.modules(), recorder.hook)), torch.no_grad():
            self.logits: Tensor = module(inputs)
        if recorder.output is None:
            raise layer_error("took no part in the forward")
        if recorder.repeats:
            raise layer_error("runs more than once in a forward, so it cannot be ablated")
        self.activation = output_tensor(recorder.output)
        self._module, self._layer, self._inputs = module, layer, inputs
        self._extra_outputs = recorder.output[1:] if isinstance(recorder.output, tuple) else None
        self._front_outputs = recorder.front_outputs
        self._head = recorder.head
        self._can_skip_front = self._reproduces_logits()

    def run(self, activations: Tensor) -> Tensor:
        """The logits ``(n, classes)`` for the layer's output ``activations`` ``(n, ...)``."""
        return self._run(activations, skip_front=self._can_skip_front)

    def pooled_head(self) -> nn.Linear | None:
        """The linear layer, where only a mean over pixels and that layer follow ``layer``."""
        if self._head is None or self.activation.ndim != 4:
            return None
        linear, features, logits = self._head
        if features.shape != self.activation.shape[:2] or logits.shape != self.logits.shape:
            return None
        pooled = torch.allclose(features, self.activation.mean((2, 3)), rtol=1e-4, atol=1e-6)
        return linear if pooled and torch.equal(logits, self.logits) else None

    def _run(self, activations: Tensor, *, skip_front: bool) -> Tensor:
        output = activations if self._extra_outputs is None else (activations, *self._extra_outputs)
        substitutes: dict[nn.Module, Callable[[], Any]] = {self._layer: lambda: output}
        inputs = self._inputs
        if skip_front:
            # Cloned, because in-place operations may follow.
            substitutes |= {layer: out.clone for layer, out in self._front_outputs.items()}
        else:
            inputs = inputs.expand(len(activations), *inputs.shape[1:])
        with borrowed(self._module), substituted(substitutes), torch.no_grad():
            logits: Tensor = self._module(inputs)
        return logits

    def _reproduces_logits(self) -> bool:
        """Whether two copies of the activation, without the front, give the logits twice."""
        # Two, not one: only then does code that depends on the batch size show.
        copies = torch.cat([self.activation, self.activation])
        try:
            logits = self._run(copies, skip_front=True)
        except (RuntimeError, ValueError, IndexError):
            return False
        expected = self.logits.expand(2, -1)
        return logits.shape == expected.shape and torch.allclose(logits, expected, 1e-3, 1e-4)


class _ForwardRecorder:
    """Records the outputs of layers that finish before ``layer``, and the last linear after."""

    def __init__(self, layer: nn.Module) -> None:
        self.output: Any = None
        self.front_outputs: dict[nn.Module, Tensor] = {}
        self.head: tuple[nn.Linear, Tensor, Tensor] | None = None
        self.repeats = False
        self._layer = layer
        self._calls: dict[nn.Module, int] = {}

    def hook(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._calls[layer] = self._calls.get(layer, 0) + 1
        if self._calls[layer] > 1:
            # One recorded output cannot stand for several calls.
            self.front_outputs.pop(layer, None)
            self.repeats |= layer is self._layer
        if self.output is None or layer is self._layer:
            self._record_front(layer, output)
        elif isinstance(layer, nn.Linear) and isinstance(output, Tensor):
            self.head = (layer, inputs[0], output)

    def _record_front(self, layer: nn.Module, output: Any) -> None:
        if layer is not self._layer and not isinstance(output, Tensor):
            return
        # The output of a parent replaces those of its children, which no longer run.
        for inner in layer.modules():
            self.front_outputs.pop(inner, None)
        # Copied, since in-place operations may follow.
        if layer is self._layer:
            tensor = output_tensor(output).clone()
            self.output = (tensor, *output[1:]) if isinstance(output, tuple) else tensor
        elif self._calls[layer] == 1:
            self.front_outputs[layer] = output.clone()
