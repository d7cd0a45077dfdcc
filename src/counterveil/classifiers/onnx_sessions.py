"""ONNX networks on a device, and the exceptions that their runtime raises."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from counterveil.errors import ModelError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(
    onnx: ModuleType, model: Path | bytes, device: str, *, name: str, threads: int = 0
) -> Any:
    """An ``onnxruntime.InferenceSession``.

    Args:
        onnx: the module ``onnxruntime``, which may be an extra.
        model: the file, or its content.
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
        name: of the model, for messages.
        threads: of the CPU; 0: onnxruntime chooses.

    Raises:
        ModelError: the device cannot be used, or the model cannot be loaded.
    """
    options = onnx.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    # Idle threads that spin would take the cores from torch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
