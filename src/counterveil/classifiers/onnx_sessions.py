"""ONNX networks on a device, and the exceptions that their runtime raises."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from counterveil.errors import ModelError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(onnx: ModuleType, model: Path | bytes, device: str, *, name: str) -> Any:
    """An ``onnxruntime.InferenceSession``.

    Args:
        onnx: the module ``onnxruntime``, which may be an extra.
        model: the file, or its content.
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
        name: of the model, for messages.

    Raises:
        ModelError: the device cannot be used, or the model cannot be loaded.
    """
    options = onnx.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.enable_cpu_mem_arena = False  # it keeps the memory of the largest image
    provider = _PROVIDERS.get(device.partition(":")[0])
    if provider not in onnx.get_available_providers():
        raise ModelError(
            f"onnxruntime cannot run on {device!r} here; use 'cpu', or install onnxruntime-gpu"
        )
    try:
        source = model if isinstance(model, bytes) else str(model)
        return onnx.InferenceSession(source, options, providers=[provider])
    except onnx_errors(onnx) as error:
        raise ModelError(f"{name} could not be loaded: {error}") from error


def onnx_errors(onnx: ModuleType) -> tuple[type[Exception], ...]:
    """All exceptions of onnxruntime; they share no base class."""
    state = vars(onnx.capi.onnxruntime_pybind11_state).values()
    return tuple(e for e in state if isinstance(e, type) and issubclass(e, Exception))
