"""Stops runs in the middle, goes on with them, and compares with a run that nobody stopped.

Each run examines 60 drawn images. It is interrupted (Ctrl-C), killed (kill -9) or meets a full disk
at 30 moments each, and is then started again with ``--resume``. Afterwards the folder must hold one
record for each image, in order, and the same files with the same bytes as an uninterrupted run;
only times may differ. The full disk is a small tmpfs, so that part needs root on Linux.

    python benchmarks/interruptions.py            # 90 runs, about 20 minutes
    python benchmarks/interruptions.py --quick    # 6 runs
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

CLASSIFIER = """
import numpy as np
from counterveil.types import ModelInfo

class Red:
    info = ModelInfo("red", "1")

    def score(self, images):
        far = np.abs(images.astype(int) - (220, 20, 20)).max(axis=3)
        share = (far < 40).mean(axis=(1, 2))
        return share / (share + 0.01)

def make():
    return Red()
"""

PROFILE = """
attribution = "occlusion"
segmentation = "slic"

[[category]]
key = "red"
title = "Red squares"
classifier = "python:red_classifier:make"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two moments of each kind")
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    moments = 2 if options.quick else options.moments
    with TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, options.images, options.workers)
        bench.draw()
        assert bench.run("whole").wait() == 0
        whole = contents(folder / "whole")
        size = sum(path.stat().st_size for path in (folder / "whole").rglob("*"))
        kinds: dict[str, Callable[[int], int]] = {
            "interrupted": lambda n: bench.stop(n, moments, signal.SIGINT),
            "killed": lambda n: bench.stop(n, moments, signal.SIGKILL),
        }
        if os.geteuid() == 0:
            kinds["disk_full"] = lambda n: bench.fill(n, moments, size)
        result: dict[str, Any] = {"images": options.images, "workers": options.workers}
        for kind, stop in kinds.items():
            statuses = []
            for n in range(moments):
                with bench.disk(kind == "disk_full"):
                    statuses.append(stop(n))
                    assert bench.run("stopped", "--resume").wait() == 0, f"{kind} {n}: resume"
                    differences = compare(whole, contents(folder / "stopped"))
                    assert not differences, f"{kind} {n}: {differences}"
                print(f"{kind} {n + 1} of {moments}: equal", file=sys.stderr)
            result[kind] = {
                "runs": moments,
                "equal": moments,
                "exit_statuses": sorted(set(statuses)),
            }
        print(json.dumps(result, indent=1))


class Bench:
    """Starts the command on one folder of images, and stops it."""

    def __init__(self, folder: Path, images: int, workers: int) -> None:
        self.folder = folder
        self.images = images
        self.workers = workers

    def draw(self) -> None:
        (self.folder / "red_classifier.py").write_text(CLASSIFIER)
        (self.folder / "red.toml").write_text(PROFILE)
        (self.folder / "in").mkdir()
        rng = np.random.default_rng(1)
        for n in range(self.images):
            pixels = rng.integers(30, 90, (48, 64, 3), np.uint8)
            if n % 2:
                row, column = rng.integers(4, 30, 2)
                pixels[row : row + 12, column : column + 12] = (220, 20, 20)
            Image.fromarray(pixels).save(self.folder / "in" / f"{n:03}.png")

    def run(self, out: str, *words: str) -> subprocess.Popen[bytes]:
        workers = ["--workers", str(self.workers)]
        command = [sys.executable, "-m", "counterveil", "run", "in", "--out", out, "--quiet",
                   "--profile", "red.toml", *workers, *words]  # fmt: skip
        return subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL)

    @contextmanager
    def disk(self, small: bool) -> Iterator[None]:
        """An empty folder ``stopped``; a tmpfs if its size is to be set."""
        out = self.folder / "stopped"
        out.mkdir()
        if small:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", out], check=True)
        try:
            yield
        finally:
            if small:
                subprocess.run(["umount", out], check=True)
            subprocess.run(["rm", "-rf", out], check=True)

    def stop(self, moment: int, moments: int, number: int) -> int:
        """Send a signal when a part of the records is there, and a little later each time."""
        wanted = 1 + moment * (self.images - 2) // max(1, moments - 1)
        process = self.run("stopped")
        records = self.folder / "stopped" / "records.jsonl"
        while process.poll() is None:
            if records.exists() and records.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.002)
        time.sleep(moment % 7 * 0.005)  # at different places of the work on one image
        process.send_signal(number)
        return process.wait()

    def fill(self, moment: int, moments: int, needed: int) -> int:
        """Run on a disk that is too small, from 40 kB on; then make it large enough."""
        size = 40_960 + moment * (needed - 40_960) // moments
        out = self.folder / "stopped"
        remount = ["mount", "-o"]
        subprocess.run([*remount, f"remount,size={size}", out], check=True)
        status = self.run("stopped").wait()
        lines = (out / "records.jsonl").read_bytes() if (out / "records.jsonl").exists() else b""
        assert lines.endswith(b"\n") or not lines, "a torn line"
        subprocess.run([*remount, f"remount,size={10 * needed}", out], check=True)
        return status


def contents(out: Path) -> dict[str, Any]:
    """Records without times, and hashes of the released files."""
    lines = (out / "records.jsonl").read_text().splitlines()
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("*.png"))
    }
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    return {"records": [timeless(line) for line in lines], "files": files, "names": names,
            "single": [timeless((out / f"{json.loads(x)['output_name']}.json").read_text())
                       for x in lines]}  # fmt: skip


def timeless(line: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(line)
    return {key: value for key, value in record.items() if key not in ("created", "timing_ms")}


def compare(whole: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in whole if whole[key] != other[key]]


if __name__ == "__main__":
    main()
