"""Layers of a module: find one, read its activation, and restore what hooks and modes changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from counterveil.errors import UnsupportedModelError, UsageError

_BLOCK_NORMS = ("layernorm_before", "norm1", "ln_1", "layer_norm1")
"""The norm before a block's attention in transformers, timm, torchvision and CLIP."""

_MOST_PREFIX_TOKENS = 9
"""One class token, and registers."""


def find_layer(module: nn.Module, inputs: Tensor, name: str | None = None) -> str:
    """The name in ``module`` of the layer to read.

    Without ``name``: the last stage of a ResNet (``layer4``, or ``encoder.stages[-1]``); the
    norm before attention in a transformer's last block, since behind it only the class token
    reaches the logits; otherwise the last layer to finish, except pooling, whose output is a
    map, which takes one more forward.
    """
    if name is not None:
        names = [known for known, _ in module.named_modules()]
        if not name or name not in names:
            near = get_close_matches(name, names, n=3, cutoff=0.5) or names[-3:]
            raise UsageError(
                f"the model has no layer {name!r}; choose for example {', '.join(near)}"
            )
        return name
    found = _by_structure(module) or _last_spatial_layer(module, inputs)
    if found is None:
        raise UnsupportedModelError(
            "no layer of this model outputs a map; name one with layer=..., "
            "or use the 'occlusion' attribution"
        )
    return found


def output_tensor(output: Any) -> Tensor:
    """A layer's output, or the first element where the output is a tuple."""
    tensor = output[0] if isinstance(output, tuple) else output
    if isinstance(tensor, Tensor):
        return tensor
    raise layer_error(f"returns a {type(output).__name__}, not a tensor")


def layer_error(problem: str) -> UnsupportedModelError:
    """The error for a layer that a method cannot read."""
    return UnsupportedModelError(
        f"the layer {problem}; name another with layer=..., or use the 'occlusion' attribution"
    )


def to_grid(layer: nn.Module, activation: Tensor, size: tuple[int, int]) -> Tensor:
    """A view of a layer's output as maps ``(B, C, gh, gw)``.

    The output is ``(B, C, gh, gw)``; ``(B, gh, gw, C)`` of a layer norm; or tokens
    ``(B, prefix + gh * gw, C)``, whose class and register tokens are dropped. The grid of tokens
    has the aspect ratio of the module's input, ``size`` ``(h, w)``.
    """
    if activation.ndim == 4:
        return activation.permute(0, 3, 1, 2) if isinstance(layer, nn.LayerNorm) else activation
    if activation.ndim == 3 and (grid := _token_grid(activation.shape[1], size)):
        count = grid[0] * grid[1]
        patches = activation[:, -count:].transpose(1, 2)  # (B, C, gh * gw)
        return patches.view(*patches.shape[:2], *grid)
    raise layer_error(f"{type(layer).__name__} gives {tuple(activation.shape)}, not a map")


def _token_grid(tokens: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of the patches, without prefix tokens, in the input's aspect ratio."""
    height, width = size
    # Fewest prefix tokens first; the exact aspect ratio rules out accidental factorisations.
    for count in range(tokens, max(tokens - _MOST_PREFIX_TOKENS - 1, 0), -1):
        rows = round((count * height / width) ** 0.5)
        if rows and count % rows == 0 and rows * width == count // rows * height:
            return rows, count // rows
    return None


def _by_structure(module: nn.Module) -> str | None:
    named: dict[str, nn.Module] = dict(module.named_modules())
    for name, layer in named.items():
        if name.split(".")[-1] == "layer4" and isinstance(layer, nn.Sequential):
            return name
        if name.endswith("encoder.stages") and isinstance(layer, nn.ModuleList):
            return f"{name}.{len(layer) - 1}"
    norms = [n for n, layer in named.items() if type(layer).__name__.endswith("LayerNorm")]
    return next((n for n in reversed(norms) if n.split(".")[-1] in _BLOCK_NORMS), None)


def _last_spatial_layer(module: nn.Module, inputs: Tensor) -> str | None:
    last: list[nn.Module] = []

    def hook(layer: nn.Module, _: tuple[Any, ...], output: Any) -> None:
        # Pooling layers are coarser than their input.
        if "Pool" in type(layer).__name__:
            return
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-2:].numel() > 1:
            last[:] = [layer]

    with borrowed(module, dict.fromkeys(module.modules(), hook)), torch.no_grad():
        module(inputs[:1])
    names: dict[nn.Module, str] = {layer: name for name, layer in module.named_modules()}
    return names[last[0]] if last and last[0] is not module else None


Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]
"""Called with a layer, its positional arguments and its output; returns nothing."""

_guard = threading.Lock()
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


@contextmanager
def borrowed(module: nn.Module, hooks: Mapping[nn.Module, Hook] | None = None) -> Iterator[None]:
    """Inside, ``module`` is in eval mode, gradients are enabled, and ``hooks`` are registered.

    ``hooks`` maps a layer to a function called after each of its forwards. Everything is
    restored afterwards, on errors too. One thread at a time borrows a module; others wait.
    Hooks ignore forwards of other threads, because scoring does not borrow.
    """
    with _module_lock(module), ExitStack() as stack:
        # Not module.eval(): it would not remember which layers were training.
        for layer in [layer for layer in module.modules() if layer.training]:
            stack.callback(setattr, layer, "training", True)
            layer.training = False
        for layer, hook in (hooks or {}).items():
            stack.callback(layer.register_forward_hook(_for_this_thread(hook)).remove)
        stack.enter_context(torch.inference_mode(False))  # no graph is built inside it
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def substituted(substitutes: Mapping[nn.Module, Callable[[], Any]]) -> Iterator[None]:
    """Inside, each layer returns the result of its substitute instead of computing.

    Other threads still get the layers' own outputs.
    """
    with ExitStack() as stack:
        for layer, substitute in substitutes.items():
            # An instance attribute hides the class's forward; restore one that was there before.
            if "forward" in vars(layer):
                stack.callback(setattr, layer, "forward", vars(layer)["forward"])
            else:
                stack.callback(delattr, layer, "forward")
            layer.forward = _substitute_forward(substitute, layer.forward)
        yield


def _module_lock(module: nn.Module) -> threading.RLock:
    with _guard:
        return _locks.setdefault(module, threading.RLock())


def _for_this_thread(hook: Hook) -> Hook:
    owner = threading.get_ident()

    def guarded(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == owner:
            hook(layer, inputs, output)  # other threads may score meanwhile

    return guarded


def _substitute_forward(
    substitute: Callable[[], Any], original: Callable[..., Any]
) -> Callable[..., Any]:
    owner = threading.get_ident()

    def forward(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == owner:
            return substitute()
        return original(*args, **kwargs)

    return forward
