"""Weights in an ONNX file, for a torch module of the same network."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def read_tensors(data: bytes, module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of a module's convolutions, and all tensors of the file by their names.

    Args:
        data: content of the ONNX file.
        module: defines its convolutions in the order in which the file has them; each has a bias.
    """
    import onnx

    graph = onnx.load_model_from_string(data).graph
    tensors = {
        each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
        for each in graph.initializer
    }
    names = [name for name, each in module.named_modules() if isinstance(each, nn.Conv2d)]
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    state = {}
    for name, node in zip(names, nodes, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = (tensors[key] for key in node.input[1:])
    return state, tensors
