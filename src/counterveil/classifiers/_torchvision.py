"""Makes ``import torchvision`` work where its compiled operators cannot load.

The torchvision wheel on PyPI is built for CUDA. Beside a CPU build of torch its operators do
not load, and registering their shape functions then fails at import although nothing here
needs them. Declaring the two operators first lets the pure Python part import; calling one
still fails loudly. transformers imports torchvision too, so this must come before it.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

_kept_alive: list[object] = []
"""A library's declarations end with the object that made them."""


def import_torchvision() -> ModuleType:
    """torchvision, its pure Python part at least."""
    import torch

    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept_alive.append(library)
    return importlib.import_module("torchvision")
