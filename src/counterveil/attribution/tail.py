"""The part of a network behind one layer, run without the part before it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from counterveil.attribution.hooks import Hook, borrowed, substituted
from counterveil.attribution.layers import tensor_of
from counterveil.errors import UnsupportedModelError


class Tail:
    """One forward of one image, and what is needed to repeat its end on other activations.

    Layers that finished before ``layer`` answer with what they gave, so only what lies behind
    is computed. Where that does not reproduce the recorded logits (code that reads the batch's
    size at the front, say), whole forwards are run.

    Call it, and make it, inside ``torch.no_grad``.

    Args:
        module: from inputs to logits.
        layer: of the module.
        inputs: ``(1, 3, h, w)``.

    Attributes:
        activation: what the layer gave.
        logits: ``(1, classes)``.
    """

    def __init__(self, module: nn.Module, layer: nn.Module, inputs: Tensor) -> None:
        record = _Record(layer)
        with borrowed(module, dict.fromkeys(module.modules(), record.hook)), torch.no_grad():
            self.logits: Tensor = module(inputs)
        if record.output is None:
            raise UnsupportedModelError(
                "the layer took no part in the forward; name another with layer=..., "
                "or use the 'occlusion' attribution"
            )
        if record.repeats:
            raise UnsupportedModelError(
                "the layer runs more than once in a forward, so it cannot be ablated; name another "
                "with layer=..., or use the 'occlusion' attribution"
            )
        self.activation = tensor_of(record.output)
        self._module, self._layer, self._inputs = module, layer, inputs
        self._rest = record.output[1:] if isinstance(record.output, tuple) else None
        self._front = record.front
        self._head = record.head
        self._skips = self._reproduces()

    def run(self, activations: Tensor) -> Tensor:
        """The logits ``(n, classes)`` if the layer had given ``activations`` ``(n, ...)``."""
        return self._run(activations, skip=self._skips)

    def pooled_head(self) -> nn.Linear | None:
        """The linear layer, where all that lies behind is a mean over pixels and that layer."""
        if self._head is None or self.activation.ndim != 4:
            return None
        linear, features, logits = self._head
        if features.shape != self.activation.shape[:2] or logits.shape != self.logits.shape:
            return None
        same = torch.allclose(features, self.activation.mean((2, 3)), rtol=1e-4, atol=1e-6)
        return linear if same and torch.equal(logits, self.logits) else None

    def _run(self, activations: Tensor, *, skip: bool) -> Tensor:
        answers: dict[nn.Module, Callable[[], Any]] = {
            self._layer: partial(self._give, activations)
        }
        inputs = self._inputs
        if skip:
            answers |= {layer: output.clone for layer, output in self._front.items()}
        else:
            inputs = inputs.expand(len(activations), *inputs.shape[1:])
        with borrowed(self._module), substituted(answers), torch.no_grad():
            logits: Tensor = self._module(inputs)
        return logits

    def _give(self, activations: Tensor) -> Any:
        return activations if self._rest is None else (activations, *self._rest)

    def _reproduces(self) -> bool:
        """Whether two unchanged activations, the front skipped, give the logits twice."""
        twice = torch.cat([self.activation, self.activation])
        try:
            logits = self._run(twice, skip=True)
        except (RuntimeError, ValueError, IndexError):
            return False
        expected = self.logits.expand(2, -1)
        return logits.shape == expected.shape and torch.allclose(logits, expected, 1e-3, 1e-4)


class _Record:
    """What the layers gave, until the one in question did; and the last linear layer after."""

    def __init__(self, layer: nn.Module) -> None:
        self.output: Any = None
        self.front: dict[nn.Module, Tensor] = {}
        self.head: tuple[nn.Linear, Tensor, Tensor] | None = None
        self.repeats = False
        self._layer = layer
        self._calls: dict[nn.Module, int] = {}

    @property
    def hook(self) -> Hook:
        return self._see

    def _see(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._calls[layer] = self._calls.get(layer, 0) + 1
        if self._calls[layer] > 1:
            self.front.pop(layer, None)
            self.repeats |= layer is self._layer
        if self.output is None or layer is self._layer:
            self._before(layer, output)
        elif isinstance(layer, nn.Linear) and isinstance(output, Tensor):
            self.head = (layer, inputs[0], output)

    def _before(self, layer: nn.Module, output: Any) -> None:
        if layer is not self._layer and not isinstance(output, Tensor):
            return
        for inside in layer.modules():
            self.front.pop(inside, None)
        # Copied, since in-place operations may follow.
        if layer is self._layer:
            kept = tensor_of(output).clone()
            self.output = (kept, *output[1:]) if isinstance(output, tuple) else kept
        elif self._calls[layer] == 1:
            self.front[layer] = output.clone()
