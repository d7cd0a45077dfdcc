"""Shared by the scripts: alternating timing, peak memory, separate processes, output.

Every result is one line of JSON on standard output, so that runs can be stored and compared.
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


def time_alternately(
    calls: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each call in each round; alternating, so that other load affects all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum, to four significant digits."""
    values_by_name = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in values_by_name.items()}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Theirs divided by ours, round by round."""
    return spread([a / b for a, b in zip(theirs, ours, strict=True)])


def peak_megabytes() -> float:
    """Peak memory of this process; on Linux since ``reset_peak``.

    ``ru_maxrss`` of a child process starts at its parent's value, so ``/proc`` is read on Linux.
    """
    return _status("VmHWM") or _max_rss()


def reset_peak() -> float:
    """Memory of this process in megabytes; on Linux, the peak is reset to it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_megabytes()
    return _status("VmRSS") or _max_rss()


def _status(name: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(row for row in status.read_text().splitlines() if row.startswith(name))
    return int(line.split()[1]) / 1024


def _max_rss() -> float:
    max_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max_rss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def run_script(script: str, *arguments: object) -> dict[str, Any]:
    """Run a script in its own process; return the JSON of its last line."""
    words = [sys.executable, script, *map(str, arguments)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words[1:])}: {ran.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


def print_result(benchmark: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": benchmark, **figures}), flush=True)


def device_name(device: str) -> str:
    """Name of the GPU, or the device."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def machine(*packages: str) -> dict[str, Any]:
    """The machine and the versions of packages."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
