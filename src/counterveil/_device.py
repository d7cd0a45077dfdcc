"""Where models and batches of images may run."""

from __future__ import annotations

import re

from counterveil.errors import UsageError

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def check_device(device: str) -> None:
    """Refuse a device before anything is loaded; ``cpu`` needs no torch.

    Raises:
        UsageError: torch knows no such device, or it cannot be used here.
    """
    if device == "cpu":
        return
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"no device is called {device!r}; choose cpu, cuda, cuda:1, mps or xpu")
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"device {device!r} cannot be used here: {reason}") from error
