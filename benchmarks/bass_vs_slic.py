"""BASS beside scikit-image's SLIC, at the same number of regions, in one process.

Run as `python benchmarks/bass_vs_slic.py [--quick] [--large]`. Prints, for each image, size and
count: regions, explained variation in RGB, and the median over alternated runs of BASS's time
over SLIC's; then the slope of log time over log pixels. Timed functions are called once first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from skimage import data
from skimage.segmentation import slic
from skimage.transform import resize

from counterveil.evaluation.superpixels import explained_variation
from counterveil.regions.bass import Bass

NAMES = ("astronaut", "coffee", "chelsea", "rocket")
COUNTS = (25, 100, 400)


def photograph(name: str, side: int) -> np.ndarray:
    """One of scikit-image's photographs with its short side scaled to `side`."""
    image = getattr(data, name)()
    height, width = image.shape[:2]
    scale = side / min(height, width)
    shape = (round(height * scale), round(width * scale))
    return (resize(image, shape, anti_aliasing=scale < 1) * 255).astype(np.uint8)


def seconds(function: Callable[[], np.ndarray]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(image: np.ndarray, wanted: int, compactness: float, runs: int) -> dict[str, float]:
    def theirs() -> np.ndarray:
        return slic(image, n_segments=wanted, compactness=compactness, start_label=0)

    reference = theirs()
    bass = Bass(count=int(reference.max()) + 1)
    ours = bass(image)
    pairs = [(seconds(lambda: bass(image)), seconds(theirs)) for _ in range(runs)]
    return {
        "slic_regions": int(reference.max()) + 1,
        "bass_regions": int(ours.max()) + 1,
        "slic_ev": explained_variation(image, reference),
        "bass_ev": explained_variation(image, ours),
        "bass_s": median(b for b, _ in pairs),
        "ratio": median(b / s for b, s in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two images at 224 px")
    parser.add_argument("--large", action="store_true", help="up to 12 megapixels")
    asked = parser.parse_args()
    names = NAMES[:2] if asked.quick else NAMES
    sides = [224] if asked.quick else [224, 512]
    rows, times = [], {count: [] for count in COUNTS}
    print("image      side wanted compact  regions  EV SLIC  EV BASS  time ratio")
    jobs = [(name, side) for side in sides for name in names]
    jobs += [("astronaut", side) for side in (1000, 2000, 3464) if asked.large]
    for name, side in jobs:
        image = photograph(name, side)
        for count in COUNTS:
            for compactness in (10.0, 1.0) if side < 1000 else (10.0,):
                row = compare(image, count, compactness, runs=5 if side < 1000 else 1)
                rows.append(row)
                if name == "astronaut" and compactness == 10.0:
                    times[count].append((side * side, row["bass_s"]))
                print(
                    f"{name:10s} {side:4d} {count:6d} {compactness:7.0f} "
                    f"{row['slic_regions']:4d}/{row['bass_regions']:<4d} {row['slic_ev']:7.4f} "
                    f"{row['bass_ev']:8.4f} {row['ratio']:9.2f}",
                    flush=True,
                )
    worst = max(row["ratio"] for row in rows)
    least = min(row["bass_ev"] - row["slic_ev"] for row in rows)
    print(f"time ratio: median {median(r['ratio'] for r in rows):.2f}, worst {worst:.2f}")
    print(f"explained variation, BASS - SLIC: least {least:+.4f}")
    for count, points in times.items():
        if len(points) > 1:
            pixels, spent = np.log(np.array(points)).T
            print(f"slope at {count} regions: {np.polyfit(pixels, spent, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
