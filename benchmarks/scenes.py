"""Scenes per second on one core, in this process.

Run as `python benchmarks/scenes.py [--count N]`. Prints the rate of drawing alone, and of drawing
and writing image, mask and annotations.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from counterveil.lab.scenes import coco, draw_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    count = parser.parse_args().count
    draw_scene(0, 0, split="train")  # loads modules and photographs before the clock starts
    start = time.perf_counter()
    scenes = [draw_scene(1, index, split="train") for index in range(count)]
    drawing = time.perf_counter() - start
    with TemporaryDirectory() as name:
        folder = Path(name)
        for subfolder in ("images", "masks"):
            (folder / subfolder).mkdir()
        start = time.perf_counter()
        coco.write_manifest(folder, [coco.write_scene(s, folder, n) for n, s in enumerate(scenes)])
        writing = time.perf_counter() - start
    print(f"drawn:             {count / drawing:6.0f} scenes/s on one core")
    print(f"drawn and written: {count / (drawing + writing):6.0f} scenes/s on one core")


if __name__ == "__main__":
    main()
