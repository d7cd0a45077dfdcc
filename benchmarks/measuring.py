"""What the speed scripts share: timing in turn, peak memory, processes of their own, one output.

Every figure is a line of JSON on standard output, so that runs can be kept and compared.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round: alternating, so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most, to four significant digits."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Theirs over ours, round by round."""
    return spread([a / b for a, b in zip(theirs, ours, strict=True)])


def peak_megabytes() -> float:
    """Most memory that this process has held, since ``forget_peak`` where that is known.

    ``ru_maxrss`` of a started process begins at what its parent held, so Linux is asked directly.
    """
    return _status("VmHWM") or _most()


def forget_peak() -> float:
    """What this process holds now, in megabytes; on Linux, its peak begins anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_megabytes()
    return _status("VmRSS") or _most()


def _status(name: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(row for row in status.read_text().splitlines() if row.startswith(name))
    return int(line.split()[1]) / 1024


def _most() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def own_process(script: str, *arguments: object) -> dict[str, Any]:
    """Run a script by itself, so that its memory is its own; the JSON of its last line."""
    words = [sys.executable, script, *map(str, arguments)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words[1:])}: {ran.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


def emit(benchmark: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": benchmark, **figures}), flush=True)


def device_name(device: str) -> str:
    """The GPU's own name; figures are kept with it."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def machine(*packages: str) -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
