"""Classifiers trained by ``counterveil train classifier``, and plain torchvision ResNet-50s."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from torch import Tensor

from counterveil.classifiers.architectures import build
from counterveil.classifiers.base import InputSpec, TorchClassifier
from counterveil.errors import ModelError, UsageError
from counterveil.types import ModelInfo

FORMAT = "counterveil.classifier/1"


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """A classifier from a weights file: ``.safetensors``, or a state dict in ``.pt`` / ``.pth``.

    A file without our metadata must hold a torchvision ResNet-50 whose second output is unsafe.

    Raises:
        ModelError: the file is missing, damaged, or of another architecture.
    """
    return from_file(Path(argument), name=f"resnet50:{argument}", device=device)


def from_file(path: Path, *, name: str, device: str = "cpu") -> TorchClassifier:
    """As :func:`load`, under a name of the caller's."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if path.suffix == ".safetensors":
        return from_bytes(data, name=name, device=device)
    return _classifier(_unpickled(path), {}, name, data, device)


def from_bytes(data: bytes, *, name: str, device: str = "cpu") -> TorchClassifier:
    """A classifier from the bytes of a safetensors file.

    Raises:
        ModelError: they are damaged, or of another architecture.
    """
    try:
        state = load_safetensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: not a readable safetensors file ({error})") from error
    return _classifier(state, _metadata(data), name, data, device)


def read_metadata(path: Path) -> dict[str, Any]:
    """What the trainer wrote into a safetensors file; empty where there is nothing of ours."""
    with safe_open(path, framework="pt") as file:
        return _decode(file.metadata() or {})


def _metadata(data: bytes) -> dict[str, Any]:
    """The header's ``__metadata__``; the library reads it from files only."""
    length = int.from_bytes(data[:8], "little")
    return _decode(json.loads(data[8 : 8 + length]).get("__metadata__", {}))


def _decode(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        return json.loads(metadata["counterveil"]) if "counterveil" in metadata else {}
    except ValueError as error:
        raise ModelError(f"its metadata is no JSON ({error}); ask for an intact copy") from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: not a plain state dict ({type(error).__name__}); only weights are read "
            "from pickles, never code: save model.state_dict(), best as safetensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path}: holds no state dict; save model.state_dict()")
    return state


def _classifier(
    state: Mapping[str, Tensor], metadata: Mapping[str, Any], name: str, data: bytes, device: str
) -> TorchClassifier:
    try:
        module = build(metadata.get("architecture", "resnet50"), int(metadata.get("classes", 2)))
        spec = InputSpec(**metadata["input"]) if "input" in metadata else InputSpec()
        unsafe = tuple(int(output) for output in metadata.get("unsafe", (1,)))
    except (TypeError, ValueError, AttributeError, UsageError) as error:
        raise ModelError(
            f"{name}: its metadata is damaged ({error}); ask for an intact copy"
        ) from error
    try:
        module.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise ModelError(
            f"{name}: the weights are not those of a {metadata.get('architecture', 'resnet50')} "
            f"with two outputs: {str(error).splitlines()[-1].strip()}"
        ) from error
    return TorchClassifier(
        module.requires_grad_(False),
        info=ModelInfo(name, metadata.get("version", ""), hashlib.sha256(data).hexdigest()),
        unsafe=unsafe,
        spec=spec,
        device=device,
    )
