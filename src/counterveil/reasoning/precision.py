"""In which precision a checkpoint is loaded, and where it is put."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from counterveil.errors import MissingExtraError, UsageError

_EXTRA = "pip install 'counterveil[quantise]'"


@dataclass(frozen=True)
class Precision:
    """Options of the specs ``blip:`` and ``hf:``, as ``?dtype=bfloat16&quantise=4``.

    Attributes:
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        quantise: the linear layers to so many bits, 8 or 4; 0: not at all.
        device_map: as transformers has it, such as ``auto``, which spreads a model over all GPUs
            and the main memory; empty: the device that is asked for.
    """

    dtype: str = "float32"
    quantise: int = 0
    device_map: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise UsageError(
                f"no dtype is called {self.dtype!r}; choose float32, bfloat16 or float16"
            )
        if self.quantise not in (0, 4, 8):
            raise UsageError(f"a model is quantised to 8 or 4 bits, got {self.quantise}")

    def options(self) -> dict[str, Any]:
        """What ``from_pretrained`` of transformers takes.

        Raises:
            MissingExtraError: it needs the extra ``quantise``, which is not installed.
        """
        dtype = getattr(torch, self.dtype)
        options: dict[str, Any] = {"dtype": dtype}
        if self.device_map:
            _need("accelerate", "a device_map")
            options["device_map"] = self.device_map
        if self.quantise:
            _need("bitsandbytes", f"{self.quantise}-bit weights")
            from transformers import BitsAndBytesConfig

            options["quantization_config"] = BitsAndBytesConfig(
                load_in_8bit=self.quantise == 8,
                load_in_4bit=self.quantise == 4,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=dtype,
            )
        return options


def placed(options: dict[str, Any], device: str) -> bool:
    """Whether transformers puts the model where it belongs; quantised, it cannot be moved later."""
    if options.get("quantization_config") is not None:
        options.setdefault("device_map", {"": device})
    return "device_map" in options


def _need(package: str, what: str) -> None:
    if find_spec(package) is None:
        raise MissingExtraError(f"{what} need{'s' if what[0] == 'a' else ''} {package}: {_EXTRA}")
