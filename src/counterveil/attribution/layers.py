"""Chooses the layer of a class activation map, and views its output as maps ``(B, C, h, w)``."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from counterveil.attribution.hooks import borrowed
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
